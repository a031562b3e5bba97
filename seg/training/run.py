"""Run: the folder of a training, what is kept in it, and how it goes on after a stop.

last.pt        after each epoch: weights and all that `--resume` needs
best_iou.pt    the epoch with the best IoU of the validation pictures
best_loss.pt   the epoch with the lowest validation loss
log.csv        a row for each epoch
curves.png     the same as a picture, drawn at most twice a minute, and at the end
overlays.png   validation pictures with the masks of that epoch
"""

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write, remove_temp_files
from seg.models.base import Net
from seg.models.checkpoint import read_checkpoint, save_net
from seg.spec import ModelSpec
from seg.training.config import SegmentationConfig

Row = dict[str, float]
FILES = ("last.pt", "best_iou.pt", "best_loss.pt", "log.csv", "curves.png", "overlays.png")


@dataclasses.dataclass(slots=True)
class Run:
    """A training's folder.

    Attributes:
        folder: Where everything goes.
        history: A row for each epoch so far.
    """

    folder: Path
    history: list[Row] = dataclasses.field(default_factory=list)

    @property
    def last(self) -> Path:
        """The checkpoint that training goes on from."""
        return self.folder / "last.pt"

    @property
    def result(self) -> Path:
        """The checkpoint to use: the best, or the last where the best was deleted."""
        best = self.folder / "best_iou.pt"
        return best if best.exists() else self.last

    def should_stop(self, patience: int) -> bool:
        """Tells whether the last `patience` epochs brought no better IoU; 0 is never."""
        scores = [row["iou"] for row in self.history]
        return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])

    def start(self, overwrite: bool) -> None:
        """Makes sure that the folder may be written to, and makes it.

        Nothing is deleted: the first epoch replaces what an earlier training left.

        Raises:
            ArtifactError: It holds files of a training and `overwrite` is off, or cannot be made.
        """
        found = [name for name in FILES if (self.folder / name).exists()]
        if found and not overwrite:
            raise ArtifactError(
                f"{self.folder} holds a training already ({', '.join(found)}); go on with "
                "--resume, take another --output, or add --overwrite."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"--output {self.folder}: {error.strerror}.") from error
        remove_temp_files(self.folder)

    def resume(self, config: SegmentationConfig, data: Mapping[str, str]) -> dict[str, Any]:
        """Reads the last epoch's checkpoint.

        Args:
            config: The choices now.
            data: The `fingerprint` of each part of the data now.

        Raises:
            ArtifactError: There is none, or it was trained with other choices or other data.
        """
        if not self.last.is_file():
            raise ArtifactError(
                f"{self.folder} holds no training to go on with: no epoch was finished in it; "
                "leave --resume out."
            )
        contents = read_checkpoint(self.last)
        if "training" not in contents:
            raise ArtifactError(f"{self.last} is a finished model, not a training to go on with.")
        then, now = earlier(contents["training"]["config"]), config.to_dict()
        if said := _changed(then, now):
            raise ArtifactError(f"--resume needs the same choices as before: {said}.")
        if said := _changed(contents["training"].get("data", data), data):
            raise ArtifactError(
                f"--resume needs the same pictures, masks, split and teacher as before: {said}. "
                "Put them back, or train anew into another --output."
            )
        self.history = list(contents["training"]["history"])
        remove_temp_files(self.folder)
        return contents

    def missing_checkpoints(self) -> list[str]:
        """Says which best checkpoints are gone: their weights are nowhere else."""
        best = (("best_iou.pt", "iou", max), ("best_loss.pt", "val_loss", min))
        lines = []
        for name, key, choose in best:
            if self.history and not (self.folder / name).exists():
                epoch = choose(self.history, key=lambda row: row[key])["epoch"]
                lines.append(
                    f"{name}, of epoch {epoch:g}, is gone; only a better epoch writes it again"
                )
        return lines

    def save_epoch(self, net: Net, spec: ModelSpec, row: Row, training: dict[str, Any]) -> None:
        """Writes an epoch: its row, its checkpoint, and the best ones where it is best.

        `last.pt` comes at the end: a stop before it repeats the epoch and writes the same again.
        """
        is_best_iou = all(row["iou"] > other["iou"] for other in self.history)
        is_best_loss = all(row["val_loss"] < other["val_loss"] for other in self.history)
        self.history.append(row)
        if is_best_iou:
            save_net(self.folder / "best_iou.pt", net, spec, row=row)
        if is_best_loss:
            save_net(self.folder / "best_loss.pt", net, spec, row=row)
        write_csv(self.folder / "log.csv", self.history)
        save_net(self.last, net, spec, training={**training, "history": self.history})


def fingerprint(digests: Sequence[str]) -> str:
    """Says how many samples there are, and which: other contents or another order is another."""
    return f"{len(digests)} pictures {hashlib.sha256(''.join(digests).encode()).hexdigest()[:16]}"


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Says which values differ; empty where none does."""
    others = sorted(key for key in now if key in then and then[key] != now[key])
    return ", ".join(f"{key} was {then[key]}, is {now[key]}" for key in others)


def earlier(text: str) -> dict[str, Any]:
    """Reads the choices that a training began with; those it did not know were at their default.

    Without a cache there was one way: new views in each epoch.
    """
    return {**SegmentationConfig().to_dict(), "views": 0, **json.loads(text)}


def write_csv(path: Path, rows: Sequence[Mapping[str, float | str]]) -> None:
    """Writes rows with the same keys, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: v if isinstance(v, str) else round(v, 6) for k, v in row.items()} for row in rows
    )
    with atomic_write(path) as part:
        part.write_text(text.getvalue())
