"""The folder of a pre-training, what is kept in it, and how it goes on after a stop.

last.pt         a model that embeds images, by the teacher, and all that `resume` needs
backbone.pth    the teacher's backbone in the official format, for `--backbone` of every command
backbone.json   what it is: model, hash, parent, steps
log.csv         a row every so many steps
curves.png      the same as an image
features-N.png  four images and their features after N steps: at the start, half-way, at the end
tensorboard/    with --tensorboard
"""

import contextlib
import dataclasses
import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write, remove_temp_files
from seg.models.base import Net
from seg.models.checkpoint import read_checkpoint, save_net
from seg.spec import ModelSpec
from seg.training.curves import draw_curves
from seg.training.run import Row, locked, write_csv

VERSION = 1  # of what `resume` reads
FILES = ("last.pt", "backbone.pth", "backbone.json", "log.csv", "curves.png")
log = logging.getLogger("dinoseg")


@dataclasses.dataclass(slots=True)
class RunFolder:
    """A pre-training's folder; of several processes the first one writes.

    Attributes:
        folder: Where everything goes.
        is_writer: Whether this process writes.
        history: The log so far.
    """

    folder: Path
    is_writer: bool
    history: list[Row] = dataclasses.field(default_factory=list)

    @property
    def last(self) -> Path:
        """The checkpoint that training goes on from."""
        return self.folder / "last.pt"

    @contextlib.contextmanager
    def opened(self, is_resumed: bool, overwrite: bool) -> Iterator[None]:
        """Keeps other trainings out of the folder, and makes it.

        Raises:
            ArtifactError: Another training writes into it, it cannot be made, or it holds a run
                that is neither resumed nor to be replaced.
        """
        found = [name for name in FILES if (self.folder / name).exists()]
        if found and not is_resumed and not overwrite:
            raise ArtifactError(
                f"{self.folder} already holds a run ({', '.join(found)}); continue it with "
                "--resume, choose a different --output, or add --overwrite."
            )
        if not self.is_writer:
            yield
            return
        with locked(self.folder):
            remove_temp_files(self.folder)
            yield

    def resume(self, choices: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the last checkpoint.

        Raises:
            ArtifactError: There is none, or it was trained with other choices.
        """
        if not self.last.is_file():
            raise ArtifactError(f"{self.folder} holds no run to resume; omit --resume.")
        training = read_checkpoint(self.last).get("pretraining")
        if not isinstance(training, dict) or training.get("version") != VERSION:
            raise ArtifactError(f"{self.last} is not a pre-training that can be resumed.")
        before, now = json.loads(training["choices"]), json.loads(json.dumps(choices))
        names = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
        if names:
            changes = ", ".join(f"{k} was {before.get(k)}, is {now.get(k)}" for k in names)
            raise ArtifactError(f"--resume needs the same choices as before: {changes}.")
        self.history = list(training["history"])
        return training

    def save(
        self,
        net: Net,
        spec: ModelSpec,
        training: Mapping[str, Any],
        choices: Mapping[str, Any],
        card: Mapping[str, Any],
    ) -> None:
        """Writes the backbone, its card and the log, and then the checkpoint.

        Args:
            net: Embeds images by the teacher's backbone.
            spec: What it is.
            training: What `resume` returns.
            choices: What `resume` compares.
            card: What is known of the backbone.
        """
        if not self.is_writer:
            return
        content = io.BytesIO()
        state = net.get_submodule("backbone").official_state()  # type: ignore[operator]
        torch.save({name: value.detach().cpu() for name, value in state.items()}, content)
        with atomic_write(self.folder / "backbone.pth") as part:
            part.write_bytes(content.getbuffer())
        with atomic_write(self.folder / "backbone.json") as part:
            part.write_text(json.dumps(card, indent=2) + "\n", "utf-8")
        if self.history:
            write_csv(self.folder / "log.csv", self.history)
        kept = {"version": VERSION, "history": self.history, "choices": json.dumps(choices)}
        save_net(self.last, net, spec, pretraining={**training, **kept})

    def draw(self) -> None:
        """Draws the log."""
        if self.is_writer and self.history:
            draw_curves(self.history, {"knn_top1": "k-NN top-1"}, self.folder / "curves.png")
