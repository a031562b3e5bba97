"""SegmentationConfig: every choice of a training; a field is a flag and a key of the checkpoint."""

import dataclasses
import math
from typing import Any

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Size
from seg.training.schedule import SCHEDULERS

AUGMENTS = ("house", "official")
CONVOLUTIONAL = ("lite", "efficientnet_lite0")  # trained as a whole: nothing is frozen
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SegmentationConfig:
    """How a segmentation network is trained. The defaults are those of the frozen DINOv2.

    Attributes:
        arch: `dinov2_vits14` or another official name, `lite` or `efficientnet_lite0`.
        backbone: A weights file, `random`, or None: look for the official file, else download it;
            EfficientNet-Lite0's is in a package of its own.
        init: A trained model of the same architecture to start from; None: random weights.
        layers: Blocks of the backbone that the head reads, from 0; empty: the last four, as for the
            official `ms` heads. The last one alone is what the official `linear` heads read.
        data: Data sets, as `seg.data.open_dataset` reads them; the first one's validation split
            decides which epoch is best.
        classes: Class names, the background first.
        input_hw: Box that pictures are fitted into before views are drawn.
        crop_hw: Size of a training view; None takes `input_hw`.
        augment: How views are drawn: `house` (scale, crop, flip, small turns, colour, blur, noise;
            see `seg.data.augment`) or `official` (as DINOv2's heads; see
            `seg.data.augment_official`).
        scale: Smallest and largest scale of a view, relative to the fitted picture; for `official`
            relative to a picture whose short side is the crop's.
        rotate: Largest angle by which a view of `house` is rotated, in degrees.
        rotate_prob: Share of the views of `house` that are rotated and sheared.
        gray_prob: Share of the views of `house` without color, where `colour` is not 0.
        colour: Strength of the colour augmentation of `house`; 0 turns it off.
        paste: Share of views that get the people of another view pasted on.
        epochs: Number of epochs.
        patience: Epochs in a row without a better IoU of the validation pictures after which
            training stops; 0 goes on to the last.
        views: Views of each picture that a frozen backbone sees, once each: what it says of them
            is kept on disk, and epochs draw from these. 0 draws new views in each epoch and runs
            the backbone every time.
        samples: Views in an epoch; None takes as many as there are training pictures: each once
            where the data sets have the same number and weight, else drawn by their weights.
        batch: Views in a step.
        lr: Learning rate of AdamW after the warm-up.
        weight_decay: Weight decay of AdamW.
        scheduler: `none`, `step`, `cosine` or `poly`.
        scheduler_epochs: Epochs at which `step` divides the rate by ten.
        warmup: Steps of linear warm-up.
        ce: Weight of cross-entropy.
        dice: Weight of the Dice loss.
        lovasz: Weight of the Lovász-Softmax loss.
        class_weights: Weight of each class in cross-entropy; empty: all the same.
        ema: Decay of the averaged weights that are evaluated and kept; 0 keeps the plain ones.
        clip: Largest norm of the gradient.
        teacher: Models whose mean probabilities a student learns beside the labels; empty: none.
        images: Pictures and videos without labels, as `seg.data.unlabelled` reads them.
        soft: Weight of what the teacher says, by its divergence and, as `dice` weighs it, by Dice.
        temperature: At which teacher and student are compared; above 1 unlikely classes count more.
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 where the device has it in
            hardware.
        seed: Seed of weights, views and order.
    """

    arch: str = "dinov2_vits14"
    backbone: str | None = None
    init: str | None = None
    layers: tuple[int, ...] = ()
    data: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("background", "person")
    input_hw: Size = (640, 640)
    crop_hw: Size | None = None
    augment: str = "house"
    scale: tuple[float, float] = (0.75, 1.5)
    rotate: float = 8.0
    rotate_prob: float = 0.3
    gray_prob: float = 0.05
    colour: float = 0.5
    paste: float = 0.0
    epochs: int = 65
    patience: int = 0
    views: int = 4
    samples: int | None = None
    batch: int = 20
    lr: float = 1e-3
    weight_decay: float = 1e-4
    scheduler: str = "none"
    scheduler_epochs: tuple[int, ...] = (50,)
    warmup: int = 10
    ce: float = 1.0
    dice: float = 0.0
    lovasz: float = 0.0
    class_weights: tuple[float, ...] = ()
    ema: float = 0.0
    clip: float = 5.0
    teacher: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    soft: float = 1.0
    temperature: float = 2.0
    precision: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            f"--{name.replace('_', '-')} is {getattr(self, name)}; expected {expected}"
            for name, expected, is_right in self._rules()
            if not is_right
        ]
        if wrong:
            raise SpecMismatch(f"{'; '.join(wrong)}.")

    def _rules(self) -> list[tuple[str, str, bool]]:
        (low, high), count = self.scale, len(self.classes)
        return [
            ("seed", "0 or more", 0 <= self.seed < 2**63),
            ("imgsz", "at most 16384", max(self.input_hw) <= 16384),
            (
                "scale",
                "views of at least a pixel",
                round(low * min(self.input_hw)) >= 1 or not 0 < low <= high,
            ),
            (
                "backbone",
                "none: lite has no backbone",
                self.arch != "lite" or self.backbone is None,
            ),
            (
                "layers",
                f"none: {self.arch} has no blocks",
                self.arch not in CONVOLUTIONAL or not self.layers,
            ),
            ("layers", "each block once", len({*self.layers}) == len(self.layers)),
            ("lr", "a positive number", self.lr > 0),
            ("weight_decay", "0 or more", self.weight_decay >= 0),
            ("warmup", "0 or more steps", self.warmup >= 0),
            ("ce", "0 or more", self.ce >= 0),
            ("dice", "0 or more", self.dice >= 0),
            ("lovasz", "0 or more", self.lovasz >= 0),
            (
                "ce",
                "some weight of --ce, --dice or --lovasz",
                self.ce + self.dice + self.lovasz + self.soft * bool(self.teacher) > 0,
            ),
            ("class_weights", f"{count} positive numbers, one a class", self._are_weights()),
            ("patience", "0 or more epochs", self.patience >= 0),
            ("clip", "a positive number", self.clip > 0),
            ("soft", "0 or more", self.soft >= 0),
            ("temperature", "a positive number", self.temperature > 0),
            ("views", "0 to learn from a teacher", not self.teacher or not self.views),
            ("colour", "0 or more", self.colour >= 0),
            ("rotate", "0 to 180 degrees", 0 <= self.rotate <= 180),
            ("rotate_prob", "a share from 0 to 1", 0 <= self.rotate_prob <= 1),
            ("gray_prob", "a share from 0 to 1", 0 <= self.gray_prob <= 1),
            ("paste", "a share from 0 to 1", 0 <= self.paste <= 1),
            ("ema", "0 or a decay below 1", 0 <= self.ema < 1),
            ("scale", "two positive numbers, the lower first", 0 < low <= high),
            ("augment", " ".join(AUGMENTS), self.augment in AUGMENTS),
            ("scheduler", " ".join(SCHEDULERS), self.scheduler in SCHEDULERS),
            ("precision", " ".join(PRECISIONS), self.precision in PRECISIONS),
            ("views", "0 or more", self.views >= 0),
            (
                "views",
                f"0 for {self.arch}, which has no frozen part",
                self.arch not in CONVOLUTIONAL or not self.views,
            ),
            ("classes", "2 to 254 different names", 2 <= len({*self.classes}) == count <= 254),
        ]

    def _are_weights(self) -> bool:
        weights = self.class_weights
        return not weights or (len(weights) == len(self.classes) and min(weights) > 0)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, lists for tuples, for a checkpoint."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


LITE = SegmentationConfig(
    arch="lite",
    crop_hw=(288, 288),
    scale=(0.35, 1.5),
    colour=1.0,
    paste=0.4,
    epochs=40,
    views=0,
    samples=3840,
    batch=16,
    lr=2.5e-3,
    weight_decay=0.02,
    scheduler="cosine",
    warmup=200,
    dice=1.0,
    ema=0.998,
)

EFFICIENTNET_LITE = dataclasses.replace(
    LITE,
    arch="efficientnet_lite0",
    input_hw=(512, 512),
    crop_hw=(320, 320),
    scale=(0.3, 1.4),
    rotate=30.0,
    rotate_prob=0.5,
    gray_prob=0.15,
    samples=1500,
    batch=10,
    lr=1e-3,
    epochs=28,
    warmup=80,
    lovasz=0.5,
    ema=0.99,
)


def defaults(arch: str) -> SegmentationConfig:
    """Returns the choices that suit an architecture."""
    own = {"lite": LITE, "efficientnet_lite0": EFFICIENTNET_LITE}
    return own.get(arch) or SegmentationConfig(arch=arch)


# `dinov2`: the official `ms` heads' recipe. Its length is that of published derivatives, 10,000
# steps of 16 views: https://github.com/facebookresearch/dinov2/issues/277.
# `seed`: the tutorial that this project starts from, as far as it says what it did: no warm-up and
# no change of scale.
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
    "seed": {
        "scale": (1.0, 1.0),
        "epochs": 65,
        "batch": 20,
        "lr": 1e-3,
        "scheduler": "step",
        "scheduler_epochs": (50,),
        "warmup": 0,
    },
}


def recipe(name: str, arch: str) -> SegmentationConfig:
    """Returns the choices of a published training of a head.

    Raises:
        SpecMismatch: The architecture has no frozen backbone under a head.
    """
    if arch in CONVOLUTIONAL:
        raise SpecMismatch(f"--recipe {name} trains a head on a frozen DINOv2; leave --arch out.")
    return dataclasses.replace(defaults(arch), **RECIPES[name])
