"""ConfusionMatrix: pixels counted by true and predicted class, and what follows from the counts."""

import numpy as np

from seg.errors import ShapeError
from seg.metrics.counts import IGNORE, Counts, Scores, check_types, mean, ratio
from seg.results import UInt8


class ConfusionMatrix(Counts):
    """Counts of pixels, `(C, C)` int64: rows are true classes, columns predicted ones.

    A score that divides by zero is NaN: IoU of a class that is in neither the labels nor the
    predictions, precision of one that is never predicted, recall of one that is never there.

    Args:
        num_classes: C, at least 1.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, labels: UInt8, predicted: UInt8) -> None:
        """Adds the pixels of one or more images.

        Args:
            labels: uint8 of any shape, true classes; 255 is not counted.
            predicted: uint8 of the same shape, below C where `labels` counts.

        Raises:
            ShapeError: The arrays have other types or shapes, or a class is out of range.
        """
        check_types(labels, predicted)
        num_classes = len(self.counts)
        # 256 x 256 bins need no mask of the ignored pixels, which would cost more than counting.
        pairs = labels.astype(np.uint16).ravel() << 8 | predicted.ravel()
        table = np.bincount(pairs, minlength=1 << 16).reshape(256, 256)[:IGNORE]
        if table.sum() != table[:num_classes, :num_classes].sum():
            raise ShapeError(f"There are {num_classes} classes; a label or prediction is higher.")
        self.counts += table[:num_classes, :num_classes]

    @property
    def num_pixels(self) -> int:
        """Pixels counted."""
        return int(self.counts.sum())

    @property
    def iou(self) -> Scores:
        """Intersection over union of each class, `(C,)`."""
        hits = self.counts.diagonal()
        return ratio(hits, self.counts.sum(0) + self.counts.sum(1) - hits)

    @property
    def precision(self) -> Scores:
        """Share of the pixels predicted as a class that are it, `(C,)`."""
        return ratio(self.counts.diagonal(), self.counts.sum(0))

    @property
    def recall(self) -> Scores:
        """Share of a class's pixels that are predicted as it, `(C,)`."""
        return ratio(self.counts.diagonal(), self.counts.sum(1))

    @property
    def miou(self) -> float:
        """Mean IoU of the classes that are in the labels or predictions."""
        return mean(self.iou)

    @property
    def foreground_iou(self) -> float:
        """As `miou`, without class 0, the background."""
        return mean(self.iou[1:])

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels whose class is predicted right."""
        return float(ratio(self.counts.trace(), self.counts.sum()))
