"""The configuration of a pre-training, beside the arguments of the method and of the views."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, Self

from seg.pretraining.arguments import read_arguments, refuse_unless


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PretrainConfig:
    """What is trained, on what, and how long.

    Attributes:
        out: Folder of the run.
        data: Folders of images, or `.txt` files that list images, with options.
        model: Such as `dinov2/vits14`.
        backbone: A file in the official format to continue from, `official` for the published one,
            or `random`.
        method_args: As given; see `MethodArgs`.
        transform_args: As given; see `TransformArgs`.
        steps: Optimizer steps.
        batch: Images of an optimizer step, over all processes.
        accumulate: Parts that a step's images are worked on in, to save memory.
        lr: Learning rate at `reference_batch_size`.
        seed: Decides weights, order, views and masks.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto`, `float32` or `bfloat16`.
        workers: Processes that draw views; 0 draws them in the training's own.
        save_every: Steps between checkpoints.
        log_every: Steps between rows of the log.
        eval_data: A folder with a folder for each class, for k-NN; empty for none.
        eval_every: Steps between k-NN evaluations.
        tensorboard: Log for TensorBoard, too.
        resume: Continue the run in `out`.
        overwrite: Replace it.
    """

    out: str
    data: tuple[str, ...]
    model: str = "dinov2/vits14"
    backbone: str = "random"
    method_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    transform_args: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    steps: int = 125_000
    batch: int = 128
    accumulate: int = 1
    lr: float = 0.004
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    workers: int = 0
    save_every: int = 100
    log_every: int = 10
    eval_data: str = ""
    eval_every: int = 1000
    tensorboard: bool = False
    resume: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "accumulate", "save_every", "log_every", "eval_every")
        refuse_unless(
            {f"{name} of at least 1": getattr(self, name) >= 1 for name in counts}
            | {
                "lr above 0": self.lr > 0,
                "workers of 0 or more": self.workers >= 0,
                "seed of 0 or more": self.seed >= 0,
                "accumulate to divide batch": self.batch % max(1, self.accumulate) == 0,
                "two images in each part of a batch": self.batch >= 2 * self.accumulate,
            },
            "pretrain",
        )

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Builds the configuration; an unknown name is refused with the nearest."""
        return read_arguments(cls, values, "pretrain")

    def choices(self) -> dict[str, Any]:
        """Returns what a resumed run must have in common with the run so far."""
        free = ("out", "device", "workers", "save_every", "tensorboard", "resume", "overwrite")
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in free}
