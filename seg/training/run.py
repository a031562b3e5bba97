"""Run: the folder of a training, what is kept in it, and how it goes on after a stop.

last.pt            after each epoch: weights and all that `--resume` needs
best_<monitor>.pt  the epoch with the best score of the validation, such as best_iou.pt
best_loss.pt       the epoch with the lowest validation loss
log.csv            a row for each epoch
curves.png         the same as an image, drawn at most twice a minute, and at the end
overlays.png       validation images with that epoch's predictions
"""

import contextlib
import csv
import dataclasses
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write, remove_temp_files
from seg.files.lock import open_exclusive
from seg.models.base import Net
from seg.models.checkpoint import read_checkpoint, save_net
from seg.spec import ModelSpec

Row = dict[str, float]
VERSION = 2  # of what `--resume` reads
LOCK = ".lock"


@dataclasses.dataclass(slots=True)
class Run:
    """A training's folder.

    Attributes:
        folder: Where everything goes.
        monitor: The score that decides which epoch is best; higher is better.
        history: A row for each epoch so far.
    """

    folder: Path
    monitor: str
    history: list[Row] = dataclasses.field(default_factory=list)

    @property
    def last(self) -> Path:
        """The checkpoint that training goes on from."""
        return self.folder / "last.pt"

    @property
    def result(self) -> Path:
        """The checkpoint to use: the best, or the last where the best was deleted."""
        best = self.folder / f"best_{self.monitor}.pt"
        return best if best.exists() else self.last

    @property
    def _best(self) -> tuple[tuple[str, str, int], ...]:
        """The best checkpoints: file name, column of the log, and the sign of what is better."""
        return (
            (f"best_{self.monitor}.pt", self.monitor, 1),
            ("best_loss.pt", "val_loss", -1),
        )

    def should_stop(self, patience: int) -> bool:
        """Tells whether the last `patience` epochs brought no better score; 0 is never."""
        scores = [row[self.monitor] for row in self.history]
        return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])

    def start(self, overwrite: bool) -> None:
        """Makes sure that the folder may be written to, and makes it.

        Nothing is deleted: the first epoch replaces what an earlier training left.

        Raises:
            ArtifactError: It holds files of a training and `overwrite` is off, or cannot be made.
        """
        names = ["last.pt", *(name for name, _, _ in self._best), "log.csv"]
        names += ["curves.png", "overlays.png"]
        found = [name for name in names if (self.folder / name).exists()]
        if found and not overwrite:
            raise ArtifactError(
                f"{self.folder} already holds a run ({', '.join(found)}); continue it with "
                "--resume, choose a different --output, or add --overwrite."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(f"--output {self.folder}: {error.strerror}.") from error
        remove_temp_files(self.folder)

    def resume(self, config: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
        """Reads the last epoch's checkpoint.

        Args:
            config: The choices now.
            data: The `fingerprint` of each part of the data now.

        Raises:
            ArtifactError: There is none, or it is of an earlier version, or it was trained with
                other choices or other data.
        """
        if not self.last.is_file():
            raise ArtifactError(
                f"{self.folder} holds no run to resume: no epoch was finished in it; omit --resume."
            )
        contents = read_checkpoint(self.last)
        training = contents.get("training")
        if not isinstance(training, dict):
            raise ArtifactError(f"{self.last} is a finished model, not a run to resume.")
        if training.get("version") != VERSION:
            raise ArtifactError(
                f"{self.last} was trained by an earlier version of dinoseg, whose runs cannot be "
                "resumed; train anew into a different --output, from --init with this file."
            )
        if text := _changes(training["config"], config):
            raise ArtifactError(f"--resume needs the same choices as before: {text}.")
        if text := _changes(training["data"], data):
            raise ArtifactError(
                f"--resume needs the same images, labels, split and teacher as before: {text}. "
                "Put them back, or train anew into a different --output."
            )
        self.history = list(training["history"])
        remove_temp_files(self.folder)
        return contents

    def missing_checkpoints(self) -> list[str]:
        """Says which best checkpoints are missing: their weights are nowhere else."""
        lines = []
        for name, key, sign in self._best:
            scored = [row for row in self.history if key in row]
            if scored and not (self.folder / name).exists():
                epoch = max(scored, key=lambda row: sign * row[key])["epoch"]
                lines.append(
                    f"{name}, of epoch {epoch:g}, is missing; only a better epoch writes it again"
                )
        return lines

    def save_epoch(
        self,
        net: Net,
        spec: ModelSpec,
        row: Row,
        training: Mapping[str, Any],
        *,
        without: Collection[str] = (),
    ) -> None:
        """Writes an epoch: its row, its checkpoint, and the best ones where it is best.

        Args:
            net: What is kept.
            spec: What it is.
            row: The epoch's row of the log.
            training: What `resume` returns.
            without: Names of weights that are not written, as of `save_net`.

        `last.pt` comes at the end: a stop before it repeats the epoch and writes the same again.
        """
        best = [
            name
            for name, key, sign in self._best
            if key in row and all(sign * row[key] > sign * other[key] for other in self.history)
        ]
        self.history.append(row)
        for name in best:
            save_net(self.folder / name, net, spec, without=without, row=row)
        write_csv(self.folder / "log.csv", self.history)
        kept = {**training, "version": VERSION, "history": self.history}
        save_net(self.last, net, spec, without=without, training=kept)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other trainings out of it; a killed one keeps nobody out.

    Raises:
        ArtifactError: Another training writes into it, or it cannot be made.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open_exclusive(path, wait=False)
    except BlockingIOError as error:
        raise ArtifactError(
            f"Another training writes into {folder}; wait for it, or choose a different --output."
        ) from error
    except OSError as error:
        raise ArtifactError(f"--output {folder}: {error.strerror}.") from error
    with lock:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def fingerprint(digests: Sequence[str]) -> str:
    """Says how many samples there are, and which: other contents or another order is another."""
    return f"{len(digests)} images {hashlib.sha256(''.join(digests).encode()).hexdigest()[:16]}"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Says which values differ; empty where none does."""
    names = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    return ", ".join(f"{key} was {before.get(key)}, is {now.get(key)}" for key in names)


def write_csv(path: Path, rows: Sequence[Mapping[str, float | str]]) -> None:
    """Writes rows with the same keys, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: v if isinstance(v, str) else round(v, 6) for k, v in row.items()} for row in rows
    )
    with atomic_write(path) as part:
        part.write_text(text.getvalue(), "utf-8", "surrogateescape")
