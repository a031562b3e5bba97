"""The parts that configurations of trainings are composed of."""

import argparse
import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from seg.imaging.letterbox import Size
from seg.training.options import NOT_NEGATIVE, POSITIVE, Check, Options, one_of, option
from seg.training.schedule import SCHEDULERS

MAX_SIDE = 16384
PRECISIONS = ("auto", "float32", "bfloat16")


def positive_int(text: str) -> int:
    """Reads a whole number of at least 1, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got '{text}'")
    return int(text)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Options):
    """A network that is trained as a whole, from random weights.

    Attributes:
        arch: Its architecture, such as `lite`.
        init: A trained model of the same architecture to start from; None: random weights.
        input_hw: Box that images are fitted into.
    """

    title: ClassVar[str] = "network"
    arch: str = option(
        "dinov2_vits14", "an official DINOv2 name, lite or efficientnet_lite0",
        metavar="NAME", is_main=True,
    )  # fmt: skip
    input_hw: Size = option(
        (640, 640), "box that images are fitted into", positive_int,
        Check(f"at most {MAX_SIDE}", lambda hw: max(hw) <= MAX_SIDE),
        flag="imgsz", nargs=2, metavar=("W", "H"), is_main=True, is_size=True,
    )  # fmt: skip
    init: str | None = option(
        None, "a trained model of the same architecture to start from", metavar="FILE", is_main=True
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BackboneConfig(ModelConfig):
    """A network on a backbone, whose published weights are where its training starts.

    Attributes:
        backbone: A weights file, `random`, or None: the published file, downloaded where needed.
        layers: Layers of the backbone that are read, from 0; empty: those that the family's own
            heads read, the last four of DINOv2's `ms` heads.
    """

    backbone: str | None = option(
        None, "the backbone's weights, or random; default: the published file",
        metavar="FILE", is_main=True,
    )  # fmt: skip
    layers: tuple[int, ...] = option(
        (), "blocks of DINOv2 that the head reads, from 0; default: the last four. 11 alone is the "
        "official linear head of a ViT-S or B",
        int, Check("each block once", lambda layers: len({*layers}) == len(layers)), nargs="+",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FrozenConfig(BackboneConfig):
    """A head on a frozen backbone: the head alone is trained.

    Attributes:
        views: Views of each image that the backbone runs on, once each: their features are kept on
            disk, and epochs draw from these. 0 draws new views in each epoch and runs the backbone
            on each.
    """

    views: int = option(
        4, "views of each image that the frozen backbone runs on, once each; epochs draw from "
        "them. More vary more, and take more time and disk at the start. 0: see --no-cache",
        int, NOT_NEGATIVE,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig(Options):
    """How weights are optimized, and how long.

    Attributes:
        epochs: Number of epochs.
        patience: Epochs in a row without a better score of the validation images after which
            training stops; 0 goes on to the last.
        lr: Learning rate after the warm-up.
        weight_decay: Weight decay.
        scheduler: One of `seg.training.schedule`.
        scheduler_epochs: Epochs at which `step` divides the rate by ten.
        warmup: Steps of linear warm-up.
        ema: Decay of the averaged weights that are evaluated and kept; 0 keeps the plain ones.
        clip: Largest norm of the gradient.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 where the device has it in
            hardware.
        seed: Seed of weights, views and order.
    """

    title: ClassVar[str] = "optimization"
    epochs: int = option(65, "number of epochs", positive_int, is_main=True)
    patience: int = option(
        0, "epochs without a better score before it stops, 0: never", int, NOT_NEGATIVE
    )
    lr: float = option(1e-3, "learning rate", float, POSITIVE, is_main=True)
    weight_decay: float = option(1e-4, "weight decay", float, NOT_NEGATIVE)
    scheduler: str = option(
        "none", "of the learning rate; step where no name follows", str, one_of(*SCHEDULERS),
        nargs="?", const="step", choices=SCHEDULERS, metavar=None,
    )  # fmt: skip
    scheduler_epochs: tuple[int, ...] = option(
        (50,), "epochs at which step divides the rate by ten", positive_int, nargs="+"
    )
    warmup: int = option(10, "steps of linear warm-up", int, NOT_NEGATIVE)
    ema: float = option(
        0.0, "decay of the averaged weights, 0: none", float,
        Check("0 or a decay below 1", lambda decay: 0 <= decay < 1),
    )  # fmt: skip
    clip: float = option(5.0, "largest norm of the gradient", float, POSITIVE)
    precision: str = option(
        "auto", "auto: bfloat16 where it is in hardware", str, one_of(*PRECISIONS),
        choices=PRECISIONS, metavar=None,
    )  # fmt: skip
    seed: int = option(
        0, "of weights, views and order", int, Check("0 or more", lambda seed: 0 <= seed < 2**63)
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Options):
    """How something is trained; a task adds its parts.

    Attributes:
        model: The network, and what of it is trained.
        optim: How it is optimized.
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)

    @property
    @abstractmethod
    def step_size(self) -> str:
        """What a step holds in memory, in words."""

    @classmethod
    @abstractmethod
    def for_arch(cls, arch: str) -> Self:
        """Returns the choices that suit an architecture."""

    @classmethod
    def for_choices(cls, arch: str, given: Mapping[str, Any]) -> Self:
        """Returns the choices that suit an architecture and what was given, by field."""
        return cls.for_arch(arch)

    @classmethod
    def recipes(cls) -> dict[str, dict[str, Any]]:
        """Returns named choices: what they change of the defaults."""
        return {}

    @classmethod
    def from_recipe(cls, name: str, arch: str) -> Self:
        """Returns the choices of one of `recipes`."""
        return cls.for_arch(arch).with_changes(cls.recipes()[name])
