"""SegmentationConfig: how a segmentation network is trained, what suits which architecture."""

import dataclasses
import math
from typing import Any, ClassVar, Self

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Size
from seg.training.config import (
    BackboneConfig,
    FrozenConfig,
    ModelConfig,
    OptimConfig,
    TrainingConfig,
    positive_int,
)
from seg.training.options import NOT_NEGATIVE, UNIT_INTERVAL, Check, Options, one_of, option

AUGMENTS = ("default", "official")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig(Options):
    """Which images there are, and how views of them are drawn.

    Attributes:
        data: Data sets, as `seg.data.open_dataset` reads them; the first one's validation split
            decides which epoch is best.
        classes: Class names, the background first.
        crop_hw: Size of a training view; None takes the box that images are fitted into.
        augment: How views are drawn: `default` (scale, crop, flip, small rotations, color, blur,
            noise; see `seg.data.augment`) or `official` (as DINOv2's heads; see
            `seg.data.augment_official`).
        scale: Smallest and largest scale of a view, relative to the fitted image; for `official`
            relative to an image whose short side is the crop's.
        rotate: Largest angle by which a view of `default` is rotated, in degrees.
        rotate_prob: Share of the views of `default` that are rotated and sheared.
        gray_prob: Share of the views of `default` without color, where `color` is not 0.
        color: Strength of the color augmentation of `default`; 0 turns it off.
        copy_paste_prob: Share of views that get the people of another view pasted on.
        samples: Views in an epoch; None takes as many as there are training images: each once
            where the data sets have the same number and weight, else drawn by their weights.
        batch: Views in a step.
    """

    title: ClassVar[str] = "views of the images"
    data: tuple[str, ...] = option(
        (), "data sets; default: Penn-Fudan", nargs="+", metavar="FOLDER", is_main=True
    )
    classes: tuple[str, ...] = option(
        ("background", "person"), "class names, the background first", str,
        Check("2 to 254 different names", lambda names: 2 <= len({*names}) == len(names) <= 254),
        nargs="+", metavar="NAME", is_main=True,
    )  # fmt: skip
    crop_hw: Size | None = option(
        None, "size of a view; default: as --imgsz", positive_int,
        flag="crop", nargs=2, metavar=("W", "H"), is_size=True,
    )  # fmt: skip
    augment: str = option(
        "default", "how views are drawn: default, or official, as for DINOv2's own heads", str,
        one_of(*AUGMENTS), choices=AUGMENTS, metavar=None,
    )  # fmt: skip
    scale: tuple[float, float] = option(
        (0.75, 1.5), "smallest and largest scale of a view", float,
        Check("two positive numbers, the lower first", lambda pair: 0 < pair[0] <= pair[1]),
        nargs=2, metavar=("LOW", "HIGH"),
    )  # fmt: skip
    rotate: float = option(
        8.0, "largest rotation of a view, in degrees", float,
        Check("0 to 180 degrees", lambda angle: 0 <= angle <= 180),
    )  # fmt: skip
    rotate_prob: float = option(0.3, "share of the views that are rotated", float, UNIT_INTERVAL)
    gray_prob: float = option(0.05, "share of the views without color", float, UNIT_INTERVAL)
    color: float = option(0.5, "strength of the color augmentation", float, NOT_NEGATIVE)
    copy_paste_prob: float = option(
        0.0, "share of views with people of another view pasted on", float, UNIT_INTERVAL
    )
    samples: int | None = option(
        None, "views in an epoch; default: as many as images", positive_int
    )
    batch: int = option(20, "views in a step", positive_int, is_main=True)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LossWeights(Options):
    """How much of each loss there is.

    Attributes:
        ce: Weight of cross-entropy.
        dice: Weight of the Dice loss.
        lovasz: Weight of the Lovász-Softmax loss.
        class_weights: Weight of each class in cross-entropy; empty: all the same.
        aux: Weight of each auxiliary head.
    """

    title: ClassVar[str] = "losses"
    ce: float = option(1.0, "weight of cross-entropy", float, NOT_NEGATIVE)
    dice: float = option(0.0, "weight of the Dice loss", float, NOT_NEGATIVE)
    lovasz: float = option(0.0, "weight of the Lovász-Softmax loss", float, NOT_NEGATIVE)
    class_weights: tuple[float, ...] = option(
        (), "weight of each class in cross-entropy; default: all the same", float,
        Check("positive numbers", lambda weights: min(weights, default=1) > 0),
        nargs="+", metavar="W",
    )  # fmt: skip
    aux: float = option(0.4, "weight of auxiliary heads", float, NOT_NEGATIVE)

    def has_any(self) -> bool:
        """Tells whether the labels count."""
        return self.ce + self.dice + self.lovasz > 0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationConfig(TrainingConfig):
    """How a segmentation network is trained. The defaults are those of the frozen DINOv2.

    Attributes:
        model: The network, and what of it is trained.
        data: Its images.
        losses: What is minimized.
        optim: How, and how long.
    """

    model: ModelConfig | BackboneConfig | FrozenConfig = dataclasses.field(
        default_factory=FrozenConfig
    )
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    losses: LossWeights = dataclasses.field(default_factory=LossWeights)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)

    def conflicts(self) -> list[tuple[str, str]]:
        """Returns what does not fit together; see `Options`."""
        wrong = []
        num_classes, weights = len(self.data.classes), self.losses.class_weights
        if weights and len(weights) != num_classes:
            wrong.append(("class_weights", f"{num_classes} positive numbers, one a class"))
        if round(self.data.scale[0] * min(self.model.input_hw)) < 1:
            wrong.append(("scale", "views of at least a pixel"))
        if not self.has_loss():
            wrong.append(("ce", "some weight of --ce, --dice or --lovasz"))
        return wrong

    def has_loss(self) -> bool:
        """Tells whether there is anything to minimize."""
        return self.losses.has_any()

    @property
    def crop_hw(self) -> Size:
        """The size of a view."""
        return self.data.crop_hw or self.model.input_hw

    @property
    def step_size(self) -> str:
        """What a step holds in memory, in words."""
        height, width = self.crop_hw
        return f"{self.data.batch} views of {width}x{height}"

    @classmethod
    def for_arch(cls, arch: str) -> Self:
        """Returns the choices that suit an architecture; those of DINOv2 where it is unknown."""
        return cls._composed(
            DEFAULTS.get(arch) or SegmentationConfig(model=FrozenConfig(arch=arch))
        )

    @classmethod
    def recipes(cls) -> dict[str, dict[str, Any]]:
        """Returns published trainings of a head: what they change of the defaults."""
        return RECIPES

    @classmethod
    def from_recipe(cls, name: str, arch: str) -> Self:
        """Returns the choices of a published training of a head.

        Raises:
            SpecMismatch: The architecture has no frozen backbone under a head.
        """
        config = SegmentationConfig(model=FrozenConfig(arch=arch)).with_changes(RECIPES[name])
        if arch in DEFAULTS:
            raise SpecMismatch(f"--recipe {name} trains a head on a frozen DINOv2; omit --arch.")
        return cls._composed(config)

    @classmethod
    def _composed(cls, config: "SegmentationConfig") -> Self:
        """Takes over the parts of a configuration."""
        parts = config.model, config.data, config.losses, config.optim
        return cls(model=parts[0], data=parts[1], losses=parts[2], optim=parts[3])


LITE = SegmentationConfig(
    model=ModelConfig(arch="lite"),
    data=DataConfig(
        crop_hw=(288, 288),
        scale=(0.35, 1.5),
        color=1.0,
        copy_paste_prob=0.4,
        samples=3840,
        batch=16,
    ),
    losses=LossWeights(dice=1.0),
    optim=OptimConfig(
        epochs=40, lr=2.5e-3, weight_decay=0.02, scheduler="cosine", warmup=200, ema=0.998
    ),
)
EFFICIENTNET_LITE = SegmentationConfig(
    model=BackboneConfig(arch="efficientnet_lite0", input_hw=(512, 512)),
    data=DataConfig(
        crop_hw=(320, 320),
        scale=(0.3, 1.4),
        rotate=30.0,
        rotate_prob=0.5,
        gray_prob=0.15,
        color=1.0,
        copy_paste_prob=0.4,
        samples=1500,
        batch=10,
    ),
    losses=LossWeights(dice=1.0, lovasz=0.5),
    optim=OptimConfig(
        epochs=28, lr=1e-3, weight_decay=0.02, scheduler="cosine", warmup=80, ema=0.99
    ),
)
DEFAULTS = {config.model.arch: config for config in (LITE, EFFICIENTNET_LITE)}

# docs/train.md says what is known of each, and what differs.
RECIPES: dict[str, dict[str, Any]] = {
    "dinov2": {
        "augment": "official",
        "scale": (1.0, 3.0),
        "epochs": 40,
        "samples": 4000,
        "views": 16,
        "batch": 16,
        "lr": 1e-3,
        "weight_decay": 1e-4,
        "scheduler": "poly",
        "warmup": 1500,
        "clip": math.inf,
    },
    "tutorial": {
        "scale": (1.0, 1.0),
        "rotate": 25.0,
        "rotate_prob": 0.5,
        "epochs": 65,
        "batch": 20,
        "lr": 1e-3,
        "scheduler": "step",
        "scheduler_epochs": (50,),
        "warmup": 0,
        "clip": math.inf,
    },
}
