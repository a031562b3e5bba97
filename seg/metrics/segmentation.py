"""All that is counted of one image or many, and the headline scores that follow."""

import dataclasses
import math
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seg.metrics.boundary import BoundaryCounts
from seg.metrics.confusion import ConfusionMatrix
from seg.metrics.iou_by_size import BINS, SizeCounts
from seg.results import UInt8


@dataclasses.dataclass(frozen=True, slots=True)
class SegmentationMetrics:
    """Counts that add up over pictures.

    Attributes:
        matrix: Pixels by true and predicted class.
        boundaries: Edges by class.
        heights: Pixels by class and the height of their object.
        alarms: Of pictures labelled background alone the sum of the false areas, and their number.
    """

    matrix: ConfusionMatrix
    boundaries: BoundaryCounts
    heights: SizeCounts
    alarms: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def empty(cls, num_classes: int) -> Self:
        """Returns the tally of no picture."""
        return cls(
            ConfusionMatrix(num_classes), BoundaryCounts(num_classes), SizeCounts(num_classes)
        )

    @classmethod
    def of(
        cls, labels: UInt8, predicted: UInt8, num_classes: int, objects: UInt8 | None = None
    ) -> Self:
        """Counts one picture.

        Args:
            labels: uint8 `(H, W)`, true classes; 255 is not counted.
            predicted: uint8 of the same shape.
            num_classes: C.
            objects: uint8 of the same shape that numbers the objects; None: connected regions.

        Raises:
            ShapeError: The arrays have other types or shapes, or a class is out of range.
        """
        tally = cls.empty(num_classes)
        tally.matrix.update(labels, predicted)
        tally.boundaries.update(labels, predicted)
        tally.heights.update(labels, predicted, objects)
        if not tally.matrix.num_pixels or tally.has_foreground:
            return tally
        return dataclasses.replace(tally, alarms=(1 - float(tally.matrix.recall[0]), 1.0))

    def __add__(self, other: Self) -> Self:
        """Returns the tally of the pictures of both."""
        return type(self)(
            self.matrix + other.matrix,
            self.boundaries + other.boundaries,
            self.heights + other.heights,
            (self.alarms[0] + other.alarms[0], self.alarms[1] + other.alarms[1]),
        )

    @property
    def has_foreground(self) -> bool:
        """Whether the labels hold another class than the background."""
        return bool(self.matrix.counts[1:].any())

    @property
    def false_area(self) -> float:
        """Share, 0..1, of the background called something else; the mean over such pictures."""
        return self.alarms[0] / self.alarms[1] if self.alarms[1] else math.nan

    @property
    def headlines(self) -> dict[str, float]:
        """The scores that come with an interval; NaN where there is nothing to score.

        Boundary IoU and F, and the IoU by height, are means over the foreground's classes.
        """
        scores = {
            "miou": self.matrix.miou,
            "foreground_iou": self.matrix.foreground_iou,
            "boundary_iou": self.boundaries.foreground_iou,
            "boundary_f": self.boundaries.foreground_f,
        }
        scores |= {
            f"iou_{name}": iou for name, iou in zip(BINS, self.heights.foreground_iou, strict=True)
        }
        if not self.has_foreground:
            scores = dict.fromkeys(scores, math.nan)
        return scores | {
            "pixel_accuracy": self.matrix.pixel_accuracy,
            "false_area": self.false_area,
        }

    def flat(self) -> NDArray[np.float64]:
        """Returns all numbers in one row, `(K,)`, to be added to other pictures' rows."""
        parts = (self.matrix.counts, self.boundaries.counts, self.heights.counts, self.alarms)
        return np.concatenate([np.ravel(part) for part in parts]).astype(np.float64)

    @classmethod
    def of_flat(cls, row: NDArray[np.float64], num_classes: int) -> Self:
        """Returns the tally that a sum of `flat` rows stands for."""
        shapes = [part.counts.shape for part in cls.empty(num_classes)._parts()]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        whole = np.split(np.rint(row[: ends[-1]]).astype(np.int64), ends[:-1])
        matrix, boundaries, heights = (
            part.reshape(shape) for part, shape in zip(whole, shapes, strict=True)
        )
        return cls(
            ConfusionMatrix.of(matrix),
            BoundaryCounts.of(boundaries),
            SizeCounts.of(heights),
            (float(row[-2]), float(row[-1])),
        )

    def _parts(self) -> tuple[ConfusionMatrix, BoundaryCounts, SizeCounts]:
        return self.matrix, self.boundaries, self.heights
