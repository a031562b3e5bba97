"""ConfusionMatrix: pixels counted by true and predicted class, and what follows from the counts.

One matrix is filled over a whole data set, at the pictures' own size. The mean of batches' IoU is
another number, which changes with the batch size; it is never formed here.
"""

from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError
from seg.results import UInt8

IGNORE: Final = 255
Scores = NDArray[np.float64]


class ConfusionMatrix:
    """Counts of pixels, `(C, C)` int64: rows are true classes, columns predicted ones.

    A score that divides by zero is NaN: IoU of a class that is in neither the labels nor the
    predictions, precision of one that is never predicted, recall of one that is never there.

    Args:
        num_classes: C, at least 1.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros((num_classes, num_classes), np.int64)

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Self:
        """Returns the matrix of counts `(C, C)` that are known."""
        matrix = cls(0)
        matrix.counts = counts
        return matrix

    def update(self, labels: UInt8, predicted: UInt8) -> None:
        """Adds the pixels of one or more pictures.

        Args:
            labels: uint8 of any shape, true classes; 255 is not counted.
            predicted: uint8 of the same shape, below C where `labels` counts.

        Raises:
            ShapeError: The arrays have other types or shapes, or a class is out of range.
        """
        if (
            labels.dtype != np.uint8
            or predicted.dtype != np.uint8
            or labels.shape != predicted.shape
        ):
            raise ShapeError(
                f"Labels and predictions are uint8 of one shape; got {labels.dtype} "
                f"{labels.shape} and {predicted.dtype} {predicted.shape}."
            )
        num_classes = len(self.counts)
        # 256 x 256 bins need no mask of the ignored pixels, which would cost more than counting.
        pairs = labels.astype(np.uint16).ravel() << 8 | predicted.ravel()
        table = np.bincount(pairs, minlength=1 << 16).reshape(256, 256)[:IGNORE]
        if table.sum() != table[:num_classes, :num_classes].sum():
            raise ShapeError(f"There are {num_classes} classes; a label or prediction is higher.")
        self.counts += table[:num_classes, :num_classes]

    def __add__(self, other: Self) -> Self:
        """Returns the matrix of the pixels of both."""
        if self.counts.shape != other.counts.shape:
            raise ShapeError(f"{len(self.counts)} classes cannot add to {len(other.counts)}.")
        return type(self).of(self.counts + other.counts)

    @property
    def num_pixels(self) -> int:
        """Pixels counted."""
        return int(self.counts.sum())

    @property
    def iou(self) -> Scores:
        """Intersection over union of each class, `(C,)`."""
        hits = self.counts.diagonal()
        return _ratio(hits, self.counts.sum(0) + self.counts.sum(1) - hits)

    @property
    def precision(self) -> Scores:
        """Of the pixels called a class, the share that is it, `(C,)`."""
        return _ratio(self.counts.diagonal(), self.counts.sum(0))

    @property
    def recall(self) -> Scores:
        """Of the pixels of a class, the share that is called it, `(C,)`."""
        return _ratio(self.counts.diagonal(), self.counts.sum(1))

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that are in the labels or predictions."""
        return _mean(self.iou)

    @property
    def foreground_iou(self) -> float:
        """As `miou`, without class 0, the background."""
        return _mean(self.iou[1:])

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are called what they are."""
        return float(_ratio(self.counts.trace(), self.counts.sum()))


def _ratio(part: NDArray[np.int64] | np.int64, whole: NDArray[np.int64] | np.int64) -> Scores:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _mean(scores: Scores) -> float:
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else float("nan")
