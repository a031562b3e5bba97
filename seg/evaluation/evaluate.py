"""Evaluation: a model on pictures with labels, at the pictures' own size."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from seg.data.samples import Sample
from seg.errors import DataError
from seg.imaging.letterbox import Letterbox, hw_of
from seg.metrics import (
    BINS,
    ConfusionMatrix,
    Interval,
    Scores,
    SegmentationMetrics,
    bootstrap_intervals,
)
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, UInt8

Observer = Callable[[Float32, UInt8, Letterbox], None]


@dataclasses.dataclass(frozen=True, slots=True)
class ImageScores:
    """One picture's counts.

    Attributes:
        name: The picture's file name.
        tally: Its pixels and edges.
    """

    name: str
    tally: SegmentationMetrics

    def to_dict(self) -> dict[str, Any]:
        """Returns its name and its IoU or, where it shows background alone, its false area."""
        key = "foreground_iou" if self.tally.has_foreground else "false_area"
        return {"name": self.name, key: _number(self.tally.headlines[key])}


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a model scores on a set of pictures.

    Attributes:
        classes: Class names.
        images: Scores of each picture, in the order of the samples.
        tally: The pixels and edges of all pictures together.
    """

    classes: tuple[str, ...]
    images: tuple[ImageScores, ...]
    tally: SegmentationMetrics

    @property
    def matrix(self) -> ConfusionMatrix:
        """The pixels of all pictures by true and predicted class."""
        return self.tally.matrix

    @property
    def miou(self) -> float:
        """Mean IoU of the classes present; NaN where no picture has foreground."""
        return self.tally.headlines["miou"]

    @property
    def foreground_iou(self) -> float:
        """Mean IoU of the classes present but the background; NaN as `miou`."""
        return self.tally.headlines["foreground_iou"]

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are called what they are."""
        return self.matrix.pixel_accuracy

    @property
    def background_only(self) -> tuple[ImageScores, ...]:
        """The pictures that are labelled background, all of them."""
        return tuple(image for image in self.images if image.tally.alarms[1])

    @property
    def false_area(self) -> float:
        """Mean of the pictures' false areas over `background_only`; NaN where there are none."""
        return self.tally.false_area

    @functools.cached_property
    def intervals(self) -> dict[str, Interval]:
        """Where 95 % of each headline score lie when the pictures are drawn again."""
        rows = np.stack([image.tally.flat() for image in self.images])
        count = len(self.classes)
        return bootstrap_intervals(
            rows, lambda row: SegmentationMetrics.of_flat(row, count).headlines
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; a score without pixels is None."""
        matrix, edges, heights = self.matrix, self.tally.boundaries, self.tally.heights
        ranges = {key: [_number(end) for end in ends] for key, ends in self.intervals.items()}
        return {
            "num_images": len(self.images),
            "num_background_only": len(self.background_only),
            **{key: _number(score) for key, score in self.tally.headlines.items()},
            "intervals_95": ranges,
            "iou": self._by_class(matrix.iou),
            "precision": self._by_class(matrix.precision),
            "recall": self._by_class(matrix.recall),
            "boundary_iou_by_class": self._by_class(edges.iou),
            "boundary_f_by_class": self._by_class(edges.f),
            "by_height": {
                name: {
                    size: {"iou": _number(float(iou)), "num_objects": int(count)}
                    for size, iou, count in zip(BINS, row, counts, strict=True)
                }
                for name, row, counts in list(
                    zip(self.classes, heights.iou, heights.num_objects, strict=True)
                )[1:]
            },
            "confusion": matrix.counts.tolist(),
            "images": [image.to_dict() for image in self.images],
        }

    def _by_class(self, scores: Scores) -> dict[str, float | None]:
        return dict(zip(self.classes, map(_number, scores.tolist()), strict=True))


def evaluate(
    segmenter: Segmenter, samples: Sequence[Sample], observe: Observer | None = None
) -> Evaluation:
    """Segments pictures and counts their pixels; progress goes to a terminal's stderr.

    Args:
        segmenter: The model.
        samples: Pictures with labels of the model's classes.
        observe: Called for each picture with its logits `(C, h, w)`, of the first look, its labels
            `(H, W)` and the letterbox between them.

    Raises:
        DataError: There is no sample, or one cannot be read.
        ShapeError: A label is none of the model's classes.
        EngineFailure: The engine failed.
    """
    if not samples:
        raise DataError("There are no pictures to evaluate on.")
    num_classes = len(segmenter.classes)
    total = SegmentationMetrics.empty(num_classes)
    images: list[ImageScores] = []
    for sample in tqdm(samples, "evaluating", leave=False, disable=None):
        image, labels = sample.load()
        looks = segmenter.looks(image)
        predicted, objects = segmenter.labels(looks), sample.objects(hw_of(image))
        tally = SegmentationMetrics.of(labels, predicted, num_classes, objects)
        images.append(ImageScores(sample.image.name, tally))
        total = total + tally
        if observe:
            observe(looks[0].logits, labels, looks[0].letterbox)
    return Evaluation(segmenter.classes, tuple(images), total)


def _number(score: float) -> float | None:
    return None if math.isnan(score) else score
