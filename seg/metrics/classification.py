"""Whole images by true and predicted class, and the scores that follow."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError
from seg.metrics.base import ImageScore, Metrics, Row, none_if_nan
from seg.metrics.counts import ratio
from seg.results import Float32

TOP = 5


class ClassificationMetrics(Metrics):
    """Images of which each has one class.

    Args:
        num_classes: C, at least 1.

    Attributes:
        labels: `(N,)` true classes.
        predicted: `(N,)` predicted classes.
        true_score: The last image's score of its true class.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes, self.true_score = num_classes, math.nan
        self.labels: NDArray[np.int64] = np.zeros(0, np.int64)
        self.predicted: NDArray[np.int64] = np.zeros(0, np.int64)
        # Images, those whose best class is right, and those with the right one among the best five.
        self._counts: NDArray[np.float64] = np.zeros(3)

    @classmethod
    def of_image(cls, label: int, scores: Float32) -> Self:
        """Returns the metrics of one image.

        Args:
            label: Its true class.
            scores: `(C,)`, higher is likelier; ties go to the lower class.

        Raises:
            ShapeError: The scores are no row, or have no such class.
        """
        if scores.ndim != 1 or not 0 <= label < len(scores):
            raise ShapeError(f"Expected scores (C,) with the class {label}; got {scores.shape}.")
        made = cls(len(scores))
        order = np.argsort(-scores, kind="stable")
        made.labels, made.predicted = np.array([label]), order[:1]
        made.true_score = float(scores[label])
        made._counts = np.array([1.0, order[0] == label, label in order[:TOP]])
        return made

    @property
    def confusion(self) -> NDArray[np.int64]:
        """`(C, C)`: rows are true classes, columns predicted ones."""
        pairs = self.labels * self.num_classes + self.predicted
        counts = np.bincount(pairs, minlength=self.num_classes**2)
        return counts.reshape(self.num_classes, self.num_classes)

    def compute(self) -> dict[str, float]:
        """Returns `top1` and `top5`, shares of the images; `top5` is NaN for up to five classes."""
        num_images, top1, top5 = self._counts
        if not num_images:
            return {"top1": math.nan, "top5": math.nan}
        has_top = self.num_classes > TOP
        return {"top1": top1 / num_images, "top5": top5 / num_images if has_top else math.nan}

    def image_score(self) -> ImageScore:
        """Returns the score of the true class."""
        return ImageScore("true_class_score", self.true_score, self.true_score)

    def details(self, classes: Sequence[str]) -> dict[str, Any]:
        """Returns scores by class, and the confusion matrix."""
        counts = self.confusion
        hits, true, found = counts.diagonal(), counts.sum(1), counts.sum(0)
        scores = {"recall": ratio(hits, true), "precision": ratio(hits, found)}
        scores["f1"] = ratio(2 * hits, true + found)
        by_class = {
            name: dict(zip(classes, map(none_if_nan, values.tolist()), strict=True))
            for name, values in scores.items()
        }
        return by_class | {
            "num_images_by_class": dict(zip(classes, true.tolist(), strict=True)),
            "confusion": counts.tolist(),
        }

    def to_row(self) -> Row:
        """Returns the counts that the headline scores need: a thousand classes stay small."""
        return self._counts.copy()

    def from_row(self, row: Row) -> Self:
        """Returns metrics with the headline scores alone."""
        made = type(self)(self.num_classes)
        made._counts = row.copy()
        return made

    def __add__(self, other: Self) -> Self:
        """As of `Metrics`; the classes of each image are kept, too."""
        if self.num_classes != other.num_classes:
            raise ShapeError("Metrics of different numbers of classes do not add up.")
        made = super().__add__(other)
        made.labels = np.concatenate([self.labels, other.labels])
        made.predicted = np.concatenate([self.predicted, other.predicted])
        return made
