"""BoundaryCounts: how well masks keep to the edges of what is labeled."""

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.metrics.counts import IGNORE, Counts, Scores, classes_in, mean, ratio
from seg.results import UInt8

BAND, TOLERANCE = 0.02, 0.008  # shares of an image's diagonal


class BoundaryCounts(Counts):
    """Counts along the edges of each class, `(C, 6)` int64, summed over images.

    Boundary IoU (Cheng et al., CVPR 2021): the IoU of the pixels of each mask that are at most d
    from its own edge, chessboard distance; the image's border is an edge. d is 2 % of the
    image's diagonal, rounded, at least 1.

    Boundary F (Martin et al., TPAMI 2004, as DAVIS counts it: Perazzi et al., CVPR 2016): the
    harmonic mean of precision and recall of the contours' pixels, where a pixel is right if the
    other contour has one within a disc whose radius is 0.8 % of the diagonal, rounded up. The
    image's border is no contour.

    Pixels labeled 255 are on neither side of an edge: nothing is counted there, and an edge lies
    only between two pixels that are labeled. A score that divides by zero is NaN.

    The columns: pixels of both bands and of either; pixels of the predicted contour that are right
    and all of them; the same two of the true contour.

    Args:
        num_classes: C, at least 1.
    """

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, 6), np.int64)

    def update(self, labels: UInt8, predicted: UInt8) -> None:
        """Adds the edges of one image.

        Args:
            labels: uint8 `(H, W)`, true classes; 255 is not counted.
            predicted: uint8 of the same shape.

        Raises:
            ShapeError: The arrays have other types or shapes, or a class is out of range.
        """
        present = classes_in(labels, predicted, len(self.counts))
        known = labels != IGNORE
        diagonal = float(np.hypot(*labels.shape))
        width, radius = max(1, round(BAND * diagonal)), int(np.ceil(TOLERANCE * diagonal))
        for label in present:
            true, positive = labels == label, (predicted == label) & known
            bands = [band(region, known & ~region, width) for region in (true, positive)]
            edges = [contour(region, known & ~region) for region in (true, positive)]
            right = edges[1] & near(edges[0], radius), edges[0] & near(edges[1], radius)
            parts = bands[0] & bands[1], bands[0] | bands[1], right[0], edges[1], right[1], edges[0]
            self.counts[label] += [np.count_nonzero(part) for part in parts]

    @property
    def iou(self) -> Scores:
        """Boundary IoU of each class, `(C,)`."""
        return ratio(self.counts[:, 0], self.counts[:, 1])

    @property
    def precision(self) -> Scores:
        """Share of the predicted contour that is right, `(C,)`."""
        return ratio(self.counts[:, 2], self.counts[:, 3])

    @property
    def recall(self) -> Scores:
        """Share of the true contour that is found, `(C,)`."""
        return ratio(self.counts[:, 4], self.counts[:, 5])

    @property
    def f(self) -> Scores:
        """Boundary F of each class, `(C,)`; 0 where only one of the two has a contour."""
        precision, recall = np.nan_to_num(self.precision), np.nan_to_num(self.recall)
        score = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
        return np.where(self.counts[:, 3] + self.counts[:, 5] > 0, score, np.nan)

    @property
    def foreground_iou(self) -> float:
        """Mean boundary IoU of the classes present but the background."""
        return mean(self.iou[1:])

    @property
    def foreground_f(self) -> float:
        """Mean boundary F of the classes present but the background."""
        return mean(self.f[1:])


Region = NDArray[np.bool_]


def band(region: Region, rest: Region, width: int) -> Region:
    """Returns the region's pixels within `width` of the rest or of the image's border."""
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * width + 1, 2 * width + 1))
    border = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 1}
    outer = cv2.dilate(rest.view(np.uint8), kernel, **border)  # type: ignore[call-overload]
    return np.asarray(region & (outer > 0))


def contour(region: Region, rest: Region) -> Region:
    """Returns the pixels whose neighbor to the east, south or south-east is on the other side."""
    edge = np.zeros(region.shape, bool)
    height, width = region.shape
    for rows, columns in ((0, 1), (1, 0), (1, 1)):
        here = slice(height - rows), slice(width - columns)
        there = slice(rows, None), slice(columns, None)
        edge[here] |= (region[here] & rest[there]) | (rest[here] & region[there])
    return edge


def near(edge: Region, radius: int) -> Region:
    """Returns the pixels at most `radius` from a pixel of `edge`, Euclidean."""
    span = np.arange(-radius, radius + 1)
    disc = (span[:, None] ** 2 + span**2 <= radius**2).view(np.uint8)
    return np.asarray(cv2.dilate(edge.view(np.uint8), disc) > 0)
