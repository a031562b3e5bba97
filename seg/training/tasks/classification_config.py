"""ClassificationConfig: how a classifier of whole images is trained."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from seg.imaging.letterbox import Size
from seg.training.config import ModelConfig, OptimConfig, TrainingConfig, positive_int
from seg.training.options import NOT_NEGATIVE, UNIT_INTERVAL, Check, Options, one_of, option

HEADS = ("linear", "linear4", "mlp")
OPTIMIZERS = ("sgd", "adamw")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierConfig(ModelConfig):
    """A backbone with a head on it.

    Attributes:
        backbone: The backbone's weights: a file, `random`, or None: the published file.
        head: A key of `seg.models.classification.HEADS`.
        finetune: Whether the backbone is trained, too; else it is frozen.
        views: Views of each image that a frozen backbone runs on, once each; epochs draw from
            these. 0 draws new views in each epoch and runs the backbone on each.
    """

    backbone: str | None = option(
        None, "the backbone's weights, or random; default: the published file",
        metavar="FILE", is_main=True,
    )  # fmt: skip
    head: str = option(
        "linear",
        "linear: the class token and the mean of the patches; linear4: the last four class tokens; "
        "mlp: a hidden layer of 256",
        str, one_of(*HEADS), choices=HEADS, metavar=None, is_main=True,
    )  # fmt: skip
    finetune: bool = option(
        False, "train the backbone, too", action="store_const", const=True, is_main=True
    )
    views: int = option(
        8, "views of each image that a frozen backbone runs on, once each; epochs draw from them. "
        "0 draws new views in each epoch", int, NOT_NEGATIVE,
    )  # fmt: skip

    def conflicts(self) -> list[tuple[str, str]]:
        """Returns what does not fit together; see `Options`."""
        return [("views", "0 with --finetune")] if self.finetune and self.views else []


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClassDataConfig(Options):
    """Which images there are, and how views of them are drawn.

    Attributes:
        data: Folders as `seg.data.class_folders.open_class_folders` reads them; there is one.
        allow_duplicates: Whether the same image may be in both splits, or in two classes.
        scale: Smallest and largest share of an image's area that a view shows.
        color: Strength of the color augmentation; 0 turns it off.
        batch: Views in a step.
    """

    title: ClassVar[str] = "views of the images"
    data: tuple[str, ...] = option(
        (), "a folder with train/CLASS/ and val/CLASS/, or with CLASS/ alone", nargs=1,
        metavar="FOLDER", is_main=True, required=True,
    )  # fmt: skip
    allow_duplicates: bool = option(
        False, "accept an image in both splits, or in two classes",
        action="store_const", const=True,
    )  # fmt: skip
    scale: tuple[float, float] = option(
        (0.35, 1.0), "smallest and largest share of an image's area that a view shows", float,
        Check("two shares, the lower first", lambda pair: 0 < pair[0] <= pair[1] <= 1),
        nargs=2, metavar=("LOW", "HIGH"),
    )  # fmt: skip
    color: float = option(0.0, "strength of the color augmentation", float, NOT_NEGATIVE)
    batch: int = option(32, "views in a step", positive_int, is_main=True)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClassOptimConfig(OptimConfig):
    """How weights are optimized.

    Attributes:
        optimizer: `sgd` with momentum, as for linear probing, or `adamw`.
        momentum: Of `sgd`.
        layer_decay: Factor of the learning rate from each block of the backbone to the one before.
    """

    optimizer: str = option(
        "sgd", "sgd with momentum, or adamw", str, one_of(*OPTIMIZERS), choices=OPTIMIZERS,
        metavar=None,
    )  # fmt: skip
    momentum: float = option(0.9, "momentum of sgd", float, UNIT_INTERVAL)
    layer_decay: float = option(
        1.0, "factor of the learning rate from each block of the backbone to the one before",
        float, Check("above 0, at most 1", lambda decay: 0 < decay <= 1),
    )  # fmt: skip


FROZEN: dict[str, Any] = {
    "epochs": 30,
    "lr": 0.005,
    "weight_decay": 0.0,
    "scheduler": "cosine",
    "warmup": 0,
    "clip": math.inf,
}
FINETUNED: dict[str, Any] = {
    "epochs": 15,
    "lr": 5e-4,
    "weight_decay": 0.05,
    "scheduler": "cosine",
    "warmup": 20,
    "clip": 1.0,
    "optimizer": "adamw",
    "layer_decay": 0.75,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClassificationConfig(TrainingConfig):
    """How a classifier is trained. The defaults are those of a frozen backbone.

    Attributes:
        model: The network, and what of it is trained.
        data: Its images.
        optim: How it is optimized, and how long.
    """

    model: ClassifierConfig = dataclasses.field(
        default_factory=lambda: ClassifierConfig(input_hw=(224, 224))
    )
    data: ClassDataConfig = dataclasses.field(default_factory=ClassDataConfig)
    optim: ClassOptimConfig = dataclasses.field(default_factory=lambda: ClassOptimConfig(**FROZEN))

    @property
    def input_hw(self) -> Size:
        """The size of a view, before it is rounded up to the patch."""
        return self.model.input_hw

    @property
    def step_size(self) -> str:
        """What a step holds in memory, in words."""
        height, width = self.input_hw
        return f"{self.data.batch} views of {width}x{height}"

    @classmethod
    def for_arch(cls, arch: str) -> Self:
        """Returns the choices that suit an architecture: the same for all."""
        return cls(model=ClassifierConfig(arch=arch, input_hw=(224, 224)))

    @classmethod
    def for_choices(cls, arch: str, given: Mapping[str, Any]) -> Self:
        """Returns the choices that suit an architecture, and `finetune` where it is given."""
        base = cls.for_arch(arch)
        if not given.get("finetune"):
            return base
        model = dataclasses.replace(base.model, finetune=True, views=0)
        return dataclasses.replace(base, model=model, optim=ClassOptimConfig(**FINETUNED))
