"""Metrics: what a task counts of one image or of many, and the scores that follow."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError

Row = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class ImageScore:
    """The one score that stands for an image in a list of the worst.

    Attributes:
        name: Which score it is.
        value: NaN where there is nothing to score.
        quality: The same on a scale where higher is better, whatever the score.
    """

    name: str
    value: float
    quality: float


class Metrics(ABC):
    """Counts that add up over images, and scores that are divided once, at the end.

    The counts are one row of numbers, so that sums, bootstraps and differences need to know no
    task.
    """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Returns the headline scores by name; NaN where there is nothing to score."""

    @abstractmethod
    def to_row(self) -> Row:
        """Returns all counts as one row, `(K,)`, to be added to other rows."""

    @abstractmethod
    def from_row(self, row: Row) -> Self:
        """Returns the metrics of as many classes whose counts are a sum of rows."""

    @abstractmethod
    def image_score(self) -> ImageScore:
        """Returns the score by which one image is compared with others."""

    @abstractmethod
    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Returns further scores as plain values for JSON, `None` in place of NaN."""

    def __add__(self, other: Self) -> Self:
        """Returns the metrics of the images of both.

        Raises:
            ShapeError: The two have different numbers of classes.
        """
        one, two = self.to_row(), other.to_row()
        if one.shape != two.shape:
            raise ShapeError("Metrics of different numbers of classes do not add up.")
        return self.from_row(one + two)


def none_if_nan(score: float) -> float | None:
    """Returns a score for JSON, which knows no NaN."""
    return None if math.isnan(score) else float(score)
