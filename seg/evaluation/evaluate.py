"""Evaluation: a task's metrics over a set of images, with intervals; no task in particular."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from seg.errors import DataError
from seg.metrics import Interval, Metrics, bootstrap_intervals, none_if_nan
from seg.progress import track

NUM_WORST = 10  # images that a report names


class ImageFile(Protocol):
    """A sample of any task: it has an image."""

    @property
    def image(self) -> Path:
        """The image's file."""


M = TypeVar("M", bound=Metrics)
S = TypeVar("S", bound=ImageFile)


@dataclasses.dataclass(frozen=True, slots=True)
class ImageMetrics(Generic[M]):
    """One image's metrics.

    Attributes:
        name: The image's file name.
        metrics: Of this image alone.
    """

    name: str
    metrics: M

    def to_dict(self) -> dict[str, Any]:
        """Returns its name and the score that stands for it."""
        score = self.metrics.image_score()
        return {"name": self.name, score.name: none_if_nan(score.value)}


@dataclasses.dataclass(frozen=True)
class Evaluation(Generic[M]):
    """What a model scores on a set of images.

    Attributes:
        classes: Class names.
        images: Metrics of each image, in the order of the samples.
    """

    classes: tuple[str, ...]
    images: tuple[ImageMetrics[M], ...]

    @functools.cached_property
    def metrics(self) -> M:
        """The metrics of all images together."""
        return functools.reduce(operator.add, (image.metrics for image in self.images))

    @functools.cached_property
    def scores(self) -> dict[str, float]:
        """The headline scores of all images together; NaN where there is nothing to score."""
        return self.metrics.compute()

    @functools.cached_property
    def intervals(self) -> dict[str, Interval]:
        """The bootstrap 95 % confidence interval of each headline score, over images."""
        rows = np.stack([image.metrics.to_row() for image in self.images])
        return bootstrap_intervals(rows, lambda row: self.metrics.from_row(row).compute())

    @functools.cached_property
    def worst_first(self) -> list[int]:
        """The places in `images` of those that have a score, worst first, then by name."""
        scored = [(image.metrics.image_score().quality, image.name) for image in self.images]
        known = [index for index, (quality, _) in enumerate(scored) if not np.isnan(quality)]
        return sorted(known, key=lambda index: scored[index])

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; a score of nothing is None."""
        ranges = {key: [none_if_nan(end) for end in ends] for key, ends in self.intervals.items()}
        return {
            "num_images": len(self.images),
            **{key: none_if_nan(score) for key, score in self.scores.items()},
            "intervals_95": ranges,
            **self.metrics.details(self.classes),
            "images": [image.to_dict() for image in self.images],
            "worst_images": [
                {"name": image.name, "score": image.metrics.image_score().value}
                for image in (self.images[index] for index in self.worst_first[:NUM_WORST])
            ],
        }


def evaluate(
    samples: Sequence[S], measure: Callable[[S], M], classes: Sequence[str]
) -> Evaluation[M]:
    """Measures a model image by image and says on stderr how far it is.

    Args:
        samples: Images with their labels.
        measure: Runs the model on a sample and returns the metrics of this one image.
        classes: Class names.

    Raises:
        DataError: There is no sample.
    """
    if not samples:
        raise DataError("There are no images to evaluate on.")
    images = tuple(
        ImageMetrics(sample.image.name, measure(sample)) for sample in track(samples, "evaluating")
    )
    return Evaluation(tuple(classes), images)
