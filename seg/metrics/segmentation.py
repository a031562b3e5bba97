"""All that is counted of one mask or many, and the headline scores that follow."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from seg.metrics.base import ImageScore, Metrics, Row, none_if_nan
from seg.metrics.boundary import BoundaryCounts
from seg.metrics.confusion import ConfusionMatrix
from seg.metrics.counts import Scores
from seg.metrics.iou_by_size import BINS, SizeCounts
from seg.results import UInt8


class SegmentationMetrics(Metrics):
    """Pixels, boundaries and objects of masks.

    Args:
        num_classes: C, at least 1.

    Attributes:
        confusion: Pixels by true and predicted class.
        boundary: Boundary pixels by class.
        sizes: Pixels by class and size of their object.
        false_positives: float64 `(2,)`: of the images labeled background alone, the sum of the
            shares of their area that are predicted as another class, and their number.
    """

    def __init__(self, num_classes: int) -> None:
        self.confusion = ConfusionMatrix(num_classes)
        self.boundary = BoundaryCounts(num_classes)
        self.sizes = SizeCounts(num_classes)
        self.false_positives: NDArray[np.float64] = np.zeros(2)

    @classmethod
    def of_image(
        cls, labels: UInt8, predicted: UInt8, num_classes: int, objects: UInt8 | None = None
    ) -> Self:
        """Returns the metrics of one image; see `update`."""
        metrics = cls(num_classes)
        metrics.update(labels, predicted, objects)
        return metrics

    def update(self, labels: UInt8, predicted: UInt8, objects: UInt8 | None = None) -> None:
        """Adds one image.

        Args:
            labels: uint8 `(H, W)`, true classes; 255 is not counted.
            predicted: uint8 of the same shape.
            objects: uint8 of the same shape that numbers the objects; None: connected regions.

        Raises:
            ShapeError: The arrays have other types or shapes, or a class is out of range.
        """
        image = ConfusionMatrix(len(self.confusion.counts))
        image.update(labels, predicted)
        self.confusion = self.confusion + image
        self.boundary.update(labels, predicted)
        self.sizes.update(labels, predicted, objects)
        if image.num_pixels and not image.counts[1:].any():
            self.false_positives += 1 - float(image.recall[0]), 1

    @property
    def has_foreground(self) -> bool:
        """Whether the labels hold another class than the background."""
        return bool(self.confusion.counts[1:].any())

    @property
    def num_background_only(self) -> int:
        """Number of images that are labeled background alone."""
        return int(self.false_positives[1])

    @property
    def false_positive_area(self) -> float:
        """Share, 0..1, of the area predicted as another class; the mean over such images."""
        total, count = self.false_positives
        return float(total / count) if count else math.nan

    def compute(self) -> dict[str, float]:
        """Returns the headline scores; NaN where there is nothing to score.

        Boundary IoU and F, and the IoU by size, are means over the foreground's classes.
        """
        scores = {
            "miou": self.confusion.miou,
            "foreground_iou": self.confusion.foreground_iou,
            "boundary_iou": self.boundary.foreground_iou,
            "boundary_f": self.boundary.foreground_f,
        }
        sizes = zip(BINS, self.sizes.foreground_iou, strict=True)
        scores |= {f"iou_{name}": iou for name, iou in sizes}
        if not self.has_foreground:
            scores = dict.fromkeys(scores, math.nan)
        return scores | {
            "pixel_accuracy": self.confusion.pixel_accuracy,
            "false_positive_area": self.false_positive_area,
        }

    def image_score(self) -> ImageScore:
        """Returns the foreground IoU, or the false-positive area of background alone.

        A false-positive area of 0.1 is as good as an IoU of 0.9.
        """
        if self.has_foreground:
            iou = self.confusion.foreground_iou
            return ImageScore("foreground_iou", iou, iou)
        area = self.false_positive_area
        return ImageScore("false_positive_area", area, 1 - area)

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Returns scores by class and by size, and the confusion matrix."""

        def by_class(scores: Scores) -> dict[str, float | None]:
            return dict(zip(classes, map(none_if_nan, scores.tolist()), strict=True))

        rows = zip(classes, self.sizes.iou, self.sizes.num_objects, strict=True)
        return {
            "num_background_only": self.num_background_only,
            "iou": by_class(self.confusion.iou),
            "precision": by_class(self.confusion.precision),
            "recall": by_class(self.confusion.recall),
            "boundary_iou_by_class": by_class(self.boundary.iou),
            "boundary_f_by_class": by_class(self.boundary.f),
            "iou_by_size": {
                name: {
                    size: {"iou": none_if_nan(iou), "num_objects": int(count)}
                    for size, iou, count in zip(BINS, ious, counts, strict=True)
                }
                for name, ious, counts in list(rows)[1:]
            },
            "confusion": self.confusion.counts.tolist(),
        }

    def to_row(self) -> Row:
        """Returns all counts as one row, `(K,)`."""
        parts = *(part.counts for part in self._counts()), self.false_positives
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)

    def from_row(self, row: Row) -> Self:
        """Returns the metrics whose counts are a sum of rows."""
        made = type(self)(len(self.confusion.counts))
        start = 0
        for part in made._counts():
            end = start + part.counts.size
            part.counts[:] = np.rint(row[start:end]).astype(np.int64).reshape(part.counts.shape)
            start = end
        made.false_positives[:] = row[start:]
        return made

    def _counts(self) -> tuple[ConfusionMatrix, BoundaryCounts, SizeCounts]:
        return self.confusion, self.boundary, self.sizes
