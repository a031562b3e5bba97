"""Evaluation: a model on pictures with labels, at the pictures' own size."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from seg.data.samples import Sample
from seg.errors import DataError
from seg.geometry import Letterbox
from seg.metrics import ConfusionMatrix, Scores
from seg.results import Float32, UInt8
from seg.segmenter import Segmenter, labels_of

Observer = Callable[[Float32, UInt8, Letterbox], None]
NUM_DRAWS = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class ImageScores:
    """One picture's counts.

    Attributes:
        name: The picture's file name.
        matrix: Its pixels.
    """

    name: str
    matrix: ConfusionMatrix

    @property
    def has_foreground(self) -> bool:
        """Whether the labels hold another class than the background."""
        return bool(self.matrix.counts[1:].any())

    @property
    def false_area(self) -> float:
        """Share, 0..1, of the background's pixels that are called something else."""
        return 1 - float(self.matrix.recall[0])


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model scores on a set of pictures.

    Attributes:
        classes: Class names.
        images: Scores of each picture, in the order of the samples.
        matrix: The pixels of all pictures together.
    """

    classes: tuple[str, ...]
    images: tuple[ImageScores, ...]
    matrix: ConfusionMatrix

    @property
    def miou(self) -> float:
        """Mean IoU of the classes present; NaN where no picture has foreground."""
        return self.matrix.miou if self._has_foreground else math.nan

    @property
    def foreground_iou(self) -> float:
        """Mean IoU of the classes present but the background; NaN as `miou`."""
        return self.matrix.foreground_iou if self._has_foreground else math.nan

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are called what they are."""
        return self.matrix.pixel_accuracy

    @property
    def background_only(self) -> tuple[ImageScores, ...]:
        """The pictures that are labelled background, all of them."""
        known = (image for image in self.images if image.matrix.num_pixels)
        return tuple(image for image in known if not image.has_foreground)

    @property
    def false_area(self) -> float:
        """Mean of `ImageScores.false_area` over `background_only`; NaN where there are none."""
        areas = [image.false_area for image in self.background_only]
        return sum(areas) / len(areas) if areas else math.nan

    def interval(self, num_draws: int = NUM_DRAWS, seed: int = 0) -> tuple[float, float]:
        """Returns where 95 % of the foreground IoUs lie when the pictures are drawn again.

        A bootstrap over pictures, with replacement: how much the choice of few pictures decides.
        """
        counts = np.stack([image.matrix.counts for image in self.images])
        drawn = np.random.default_rng(seed).integers(len(counts), size=(num_draws, len(counts)))
        scores = [ConfusionMatrix.of(counts[rows].sum(0)).foreground_iou for rows in drawn]
        known = [score for score in scores if not math.isnan(score)]
        if not known or not self._has_foreground:
            return math.nan, math.nan
        low, high = np.percentile(known, [2.5, 97.5])
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; a score without pixels is None."""
        return {
            "num_images": len(self.images),
            "miou": _number(self.miou),
            "foreground_iou": _number(self.foreground_iou),
            "foreground_iou_95": [_number(end) for end in self.interval()],
            "pixel_accuracy": _number(self.pixel_accuracy),
            "iou": self._by_class(self.matrix.iou),
            "precision": self._by_class(self.matrix.precision),
            "recall": self._by_class(self.matrix.recall),
            "num_background_only": len(self.background_only),
            "false_area": _number(self.false_area),
            "images": [_row(image) for image in self.images],
        }

    @property
    def _has_foreground(self) -> bool:
        return any(image.has_foreground for image in self.images)

    def _by_class(self, scores: Scores) -> dict[str, float | None]:
        return dict(zip(self.classes, map(_number, scores.tolist()), strict=True))


def evaluate(
    segmenter: Segmenter, samples: Sequence[Sample], observe: Observer | None = None
) -> Evaluation:
    """Segments pictures and counts their pixels; progress goes to a terminal's stderr.

    Args:
        segmenter: The model.
        samples: Pictures with labels of the model's classes.
        observe: Called for each picture with its logits `(C, h, w)`, its labels `(H, W)` and the
            letterbox between them.

    Raises:
        DataError: There is no sample, or one cannot be read.
        ShapeError: A label is none of the model's classes.
        EngineFailure: The engine failed.
    """
    if not samples:
        raise DataError("There are no pictures to evaluate on.")
    total = ConfusionMatrix(len(segmenter.classes))
    images: list[ImageScores] = []
    for sample in tqdm(samples, "evaluating", leave=False, disable=None):
        image, labels = sample.load()
        letterbox = segmenter.letterbox((image.shape[0], image.shape[1]))
        logits = segmenter.logits(letterbox.pack(image, segmenter.runtime.spec.pad_rgb))
        matrix = ConfusionMatrix(len(segmenter.classes))
        matrix.update(labels, labels_of(logits, letterbox))
        images.append(ImageScores(sample.image.name, matrix))
        total = total + matrix
        if observe:
            observe(logits, labels, letterbox)
    return Evaluation(segmenter.classes, tuple(images), total)


def _row(image: ImageScores) -> Mapping[str, Any]:
    if image.has_foreground:
        return {"name": image.name, "foreground_iou": _number(image.matrix.foreground_iou)}
    return {"name": image.name, "false_area": _number(image.false_area)}


def _number(score: float) -> float | None:
    return None if math.isnan(score) else score
