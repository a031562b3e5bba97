"""SizeCounts: IoU of small, medium and large objects."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError
from seg.metrics.counts import IGNORE, Counts, Scores, classes_in, mean, ratio
from seg.results import UInt8

BINS: Final = ("small", "medium", "large")
LIMITS: Final = (0.25, 0.5)  # shares of the image's height


class SizeCounts(Counts):
    """Pixels by class and by the height of the object they belong to, `(C, 3, 3)` int64.

    Objects under a quarter of the image's height are small, from half of it on large. Objects
    are those that the labels number, or else the 8-connected regions of a class. A false-positive
    pixel has no object of its own: in a region that touches an object it counts for the nearest
    one; a region that touches none counts by its own height. So each pixel counts once, and the
    bins' pixels add up to those of the class. The background has none.

    The last axis: pixels of both label and prediction, of either, and the number of objects.

    Args:
        num_classes: C, at least 1.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, len(BINS), 3), np.int64)

    def update(self, labels: UInt8, predicted: UInt8, objects: UInt8 | None = None) -> None:
        """Adds the pixels of one image.

        Args:
            labels: uint8 `(H, W)`, true classes; 255 is not counted.
            predicted: uint8 of the same shape.
            objects: uint8 of the same shape, the number of each pixel's object, 0 where there is
                none; None takes the connected regions.

        Raises:
            ShapeError: The arrays have other types or shapes, or a class is out of range.
        """
        if objects is not None and objects.shape != labels.shape:
            raise ShapeError(f"Objects are {objects.shape}, labels {labels.shape}.")
        known = labels != IGNORE
        for label in classes_in(labels, predicted, len(self.counts)):
            if label == 0:
                continue
            true, positive = labels == label, (predicted == label) & known
            numbers = _regions(true) if objects is None else np.where(true, objects, 0)
            bins = _bins(numbers)
            place = _bin_of_each_pixel(numbers.astype(np.int32), bins, positive)
            self.counts[label, :, 0] += np.bincount(place[true & positive], minlength=len(BINS))
            self.counts[label, :, 1] += np.bincount(place[true | positive], minlength=len(BINS))
            present = np.unique(numbers[numbers > 0])
            self.counts[label, :, 2] += np.bincount(bins[present], minlength=len(BINS))

    @property
    def iou(self) -> Scores:
        """IoU by class and bin, `(C, 3)`; NaN where there is nothing, and for the background."""
        return ratio(self.counts[..., 0], self.counts[..., 1])

    @property
    def num_objects(self) -> NDArray[np.int64]:
        """Labeled objects by class and bin, `(C, 3)`."""
        return self.counts[..., 2]

    @property
    def foreground_iou(self) -> tuple[float, ...]:
        """Of each bin the mean IoU of the classes that have labeled objects in it."""
        iou = np.where(self.num_objects > 0, self.iou, np.nan)
        return tuple(mean(column) for column in iou.T)


Numbers = NDArray[np.int32]


def _regions(region: NDArray[np.bool_]) -> Numbers:
    """Numbers the 8-connected regions from 1."""
    return np.asarray(cv2.connectedComponents(region.view(np.uint8), connectivity=8)[1], np.int32)


def _bins(numbers: NDArray[np.integer]) -> NDArray[np.int64]:
    """Returns the bin of each number up to the highest, by the rows from its first to its last."""
    rows, columns = np.nonzero(numbers)
    ids = numbers[rows, columns]
    size = int(numbers.max(initial=0)) + 1
    top, bottom = np.full(size, len(numbers)), np.zeros(size, np.int64)
    np.minimum.at(top, ids, rows)
    np.maximum.at(bottom, ids, rows + 1)
    return np.asarray(np.digitize((bottom - top) / len(numbers), LIMITS), np.int64)


def _bin_of_each_pixel(
    numbers: Numbers, bins: NDArray[np.int64], positive: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Returns the bin that each labeled or predicted pixel counts for; the others mean nothing."""
    regions = _regions(positive)
    own = _bins(regions)[regions]
    if not numbers.any():
        return own
    touches = np.zeros(int(regions.max()) + 1, bool)
    touches[regions[cv2.dilate((numbers > 0).view(np.uint8), np.ones((3, 3))) > 0]] = True
    # The label of each pixel is that of the nearest pixel of an object, whose number is looked up.
    nearest = cv2.distanceTransformWithLabels(
        (numbers == 0).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    table = np.zeros(int(nearest.max()) + 1, np.int32)
    table[nearest[numbers > 0]] = numbers[numbers > 0]
    closest = bins[table[nearest]]
    return np.where((numbers > 0) | touches[regions], closest, own)
