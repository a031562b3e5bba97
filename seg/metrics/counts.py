"""Counts: whole numbers by class that add up over images."""

from abc import ABC, abstractmethod
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError
from seg.results import UInt8

IGNORE: Final = 255
Scores = NDArray[np.float64]


class Counts(ABC):
    """Numbers that add up.

    Args:
        num_classes: C, at least 1.

    Attributes:
        counts: int64 `(C, ...)`, one row for each class.
    """

    counts: NDArray[np.int64]

    @abstractmethod
    def __init__(self, num_classes: int) -> None: ...

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> Self:
        """Returns the object that holds counts that are known."""
        made = cls(0)
        made.counts = counts
        return made

    def __add__(self, other: Self) -> Self:
        """Returns the counts of the pixels of both."""
        if self.counts.shape != other.counts.shape:
            raise ShapeError(f"{len(self.counts)} classes cannot add to {len(other.counts)}.")
        return type(self).of(self.counts + other.counts)


def check_types(labels: UInt8, predicted: UInt8) -> None:
    """Raises ShapeError unless both are uint8 of one shape."""
    if labels.dtype != np.uint8 or predicted.dtype != np.uint8 or labels.shape != predicted.shape:
        raise ShapeError(
            f"Labels and predictions are uint8 of one shape; got {labels.dtype} "
            f"{labels.shape} and {predicted.dtype} {predicted.shape}."
        )


def classes_in(labels: UInt8, predicted: UInt8, num_classes: int) -> list[int]:
    """Returns the classes that are in the labels, or predicted where there are labels.

    Raises:
        ShapeError: The arrays are not uint8 `(H, W)` of one shape, or a class is out of range.
    """
    check_types(labels, predicted)
    if labels.ndim != 2:
        raise ShapeError(f"This counts one image (H, W) at a time; got {labels.shape}.")
    seen = np.bincount(labels.ravel(), minlength=256)[:IGNORE]
    seen = seen + np.bincount(predicted[labels != IGNORE], minlength=256)[:IGNORE]
    found = np.flatnonzero(seen).tolist()
    if found and found[-1] >= num_classes:
        raise ShapeError(f"There are {num_classes} classes; a label or prediction is higher.")
    return found


def ratio(part: NDArray[Any] | np.generic, whole: NDArray[Any] | np.generic) -> Scores:
    """Divides; NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def mean(scores: Scores) -> float:
    """Returns the mean of the scores that are not NaN; NaN where all are."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else float("nan")
