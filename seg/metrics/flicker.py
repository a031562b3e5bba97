"""How steady masks are over time: flips, consistency along the flow, and with labels VC.

None of them says whether masks are right: a mask that never changes has the best of each but VC.
They are read beside IoU.
"""

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError
from seg.metrics.counts import IGNORE
from seg.results import Float32, UInt8

Region = NDArray[np.bool_]
STATIC = 2  # gray levels by which a static pixel changes at most between two frames


def is_static(after: UInt8, before: UInt8) -> Region:
    """Returns where two gray images, uint8 `(h, w)`, are the same up to `STATIC` levels."""
    _check(after, before)
    return np.asarray(cv2.absdiff(after, before) <= STATIC)


class Flips:
    """Counts the static pixels that change their class."""

    def __init__(self) -> None:
        self.num_flips, self.static_s = 0, 0.0

    def add(self, after: UInt8, before: UInt8, static: Region, gap_s: float) -> None:
        """Adds two frames that follow each other.

        Args:
            after: uint8 `(h, w)`, classes.
            before: The same of the frame before.
            static: Where the image did not change, `(h, w)`.
            gap_s: Seconds between the two.

        Raises:
            ShapeError: Shapes differ.
        """
        _check(after, before, static)
        self.num_flips += int(np.count_nonzero((after != before) & static))
        self.static_s += gap_s * int(np.count_nonzero(static))

    @property
    def rate(self) -> float:
        """Flips per static pixel and second; NaN where nothing was static."""
        return self.num_flips / self.static_s if self.static_s else float("nan")


class TemporalConsistency:
    """TC: IoU of each mask with the one before, carried along the flow; classes but background."""

    def __init__(self, num_classes: int) -> None:
        self.counts = np.zeros((num_classes, 2), np.int64)

    def add(self, after: UInt8, carried: UInt8, known: Region) -> None:
        """Adds two frames that follow each other.

        Args:
            after: uint8 `(h, w)`, classes.
            carried: The classes of the frame before, where the flow has brought them.
            known: Where the flow explains the image, `(h, w)`.

        Raises:
            ShapeError: Shapes differ.
        """
        _check(after, carried, known)
        for label in range(1, len(self.counts)):
            now, then = (after == label) & known, (carried == label) & known
            self.counts[label] += np.count_nonzero(now & then), np.count_nonzero(now | then)

    @property
    def mean(self) -> float:
        """Mean over the classes that occur, each over all frames together; NaN for none."""
        seen = self.counts[self.counts[:, 1] > 0]
        return float((seen[:, 0] / seen[:, 1]).mean()) if len(seen) else float("nan")


class VideoConsistency:
    """VCn: of the pixels whose true class stays for n frames, the share that is right in all n.

    Args:
        num_frames: n, at least 1; 8 and 16 are customary.
    """

    def __init__(self, num_frames: int) -> None:
        self._labels: deque[UInt8] = deque(maxlen=num_frames)
        self._right: deque[Region] = deque(maxlen=num_frames)
        self.counts = np.zeros(2, np.int64)

    def add(self, labels: UInt8, predicted: UInt8) -> None:
        """Adds the next frame; raises ShapeError where shapes differ."""
        _check(labels, predicted)
        self._labels.append(labels)
        self._right.append(labels == predicted)
        if len(self._labels) == self._labels.maxlen:
            first = self._labels[0]
            stays = np.logical_and.reduce([first == later for later in self._labels])
            stays &= first != IGNORE
            is_right = np.logical_and.reduce(list(self._right))
            self.counts += np.count_nonzero(stays & is_right), np.count_nonzero(stays)

    def reset(self) -> None:
        """Begins another clip."""
        self._labels.clear()
        self._right.clear()

    @property
    def mean(self) -> float:
        """Over all runs of n frames; NaN where there was none."""
        return float(self.counts[0] / self.counts[1]) if self.counts[1] else float("nan")


def _check(*arrays: NDArray[np.uint8] | Region | Float32) -> None:
    shapes = [array.shape[:2] for array in arrays]
    if len(set(shapes)) > 1:
        raise ShapeError(f"Expected arrays of one size; got {', '.join(map(str, shapes))}.")
