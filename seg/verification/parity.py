"""Parity: whether two runtimes lead to the same results, compared on the same images."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from seg.data.segmentation_folders import find_images
from seg.errors import ParityError, SpecMismatch
from seg.imaging.image_io import PHOTOS, photo, read_image
from seg.predictors.open import open_predictor
from seg.progress import track
from seg.results import Float32, UInt8
from seg.runtimes.base import Runtime
from seg.spec import CLASSIFICATION, EMBEDDING, SEGMENTATION
from seg.verification.class_agreement import compare_classes
from seg.verification.feature_agreement import compare_features
from seg.verification.fitted_runtime import ReferenceRuntime
from seg.verification.mask_agreement import compare_masks


class Agreement(Protocol):
    """How far the results of a candidate are from its reference's, in the terms of one task."""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, for metadata and JSON."""

    def passes(self, precision: str) -> bool:
        """Tells whether the results are as near as `precision` allows."""

    def expected(self, precision: str) -> str:
        """Describes what `passes` asks for."""


# Compares the results of two predictors, a pair for each image.
Measure = Callable[[Sequence[tuple[Any, Any]]], Agreement]
# A new task adds its line.
AGREEMENTS: dict[str, Measure] = {
    SEGMENTATION: compare_masks,
    EMBEDDING: compare_features,
    CLASSIFICATION: compare_classes,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """How far a candidate is from its reference.

    Attributes:
        num_images: Number of images compared.
        results: Agreement of the results.
        cosine: Lowest cosine between the scores of an image; None where results alone are compared.
        max_difference: Largest absolute difference of a score; None as `cosine`.
    """

    num_images: int
    results: Agreement
    cosine: float | None = None
    max_difference: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers for metadata and JSON, by the names of the file format."""
        scores = {"cosine": self.cosine, "max_difference": self.max_difference}
        return {"frames": self.num_images, **self.results.to_dict(), **scores}

    def __str__(self) -> str:
        text = f"{self.num_images} images: {self.results}"
        if self.cosine is None:
            return text
        return (
            f"{text}, lowest cosine of scores {self.cosine:.7f}, "
            f"largest difference of scores {self.max_difference:.2g}"
        )

    def passes(self, precision: str) -> bool:
        """Tells whether the results are as near as `precision` allows."""
        return self.results.passes(precision)

    def require(self, precision: str) -> Self:
        """Returns itself; raises ParityError where the results differ too much for `precision`."""
        if self.passes(precision):
            return self
        raise ParityError(
            f"The results differ from the source's: {self}. Expected in {precision} "
            f"{self.results.expected(precision)}."
        )


def compare(
    reference: Runtime, candidate: Runtime, images: Iterable[UInt8], task: str = SEGMENTATION
) -> Parity:
    """Runs two networks on the same images, fitted as the candidate's spec asks.

    Results are compared on each one's own way: on the GPU where the candidate offers that. Scores
    are compared on the same input.

    Args:
        reference: The source, in float32.
        candidate: What was made from it.
        images: Each uint8 `(H, W, 3)` BGR, at least one.
        task: A key of `AGREEMENTS`, which both are for.

    Raises:
        SpecMismatch: There is no image, the task is unknown, or the canvases differ.
        ParityError: The scores have different shapes.
    """
    measure, spec = agreement_of(task), candidate.spec
    fitted = ReferenceRuntime(reference, spec.input_hw, spec.canvas_hw)
    if fitted.spec.canvas_hw != spec.canvas_hw:
        raise SpecMismatch(
            f"The two fit images differently: the reference has a canvas of its own, "
            f"{fitted.spec.canvas_hw}, and the candidate has none."
        )
    predict, predict_candidate = (open_predictor(one, task=task) for one in (fitted, candidate))
    pairs, scores = [], []
    for image in track(images, "comparing"):
        pairs.append((predict(image), predict_candidate(image)))
        scores.append(_compare_scores(fitted.outputs, candidate.run(fitted.images)))
    if not pairs:
        raise SpecMismatch("A comparison needs at least one image.")
    return Parity(
        num_images=len(pairs),
        results=measure(pairs),
        cosine=min(cosine for cosine, _ in scores),
        max_difference=max(difference for _, difference in scores),
    )


def agreement_of(task: str) -> Measure:
    """Returns the measure of a task; raises SpecMismatch where none is registered."""
    if task not in AGREEMENTS:
        raise SpecMismatch(f"No comparison for the task '{task}'; known: {', '.join(AGREEMENTS)}.")
    return AGREEMENTS[task]


def read_images(source: Path | None) -> list[UInt8]:
    """Reads the images to compare on, of a file or a folder; None takes the free photos."""
    if source is None:
        return [photo(name) for name in PHOTOS]
    paths = find_images(source).images if source.is_dir() else [source]
    return [read_image(path) for path in paths]


def _compare_scores(
    reference: Mapping[str, Float32], candidate: Mapping[str, Float32]
) -> tuple[float, float]:
    """Returns the lowest cosine and the largest difference over all outputs."""
    shapes, other_shapes = (
        {name: array.shape for name, array in outputs.items()} for outputs in (reference, candidate)
    )
    if shapes != other_shapes:
        raise ParityError(f"Expected scores of {shapes}, got {other_shapes}.")
    cosines = [_cosine(array, candidate[name]) for name, array in reference.items()]
    differences = [np.abs(array - candidate[name]).max() for name, array in reference.items()]
    return min(cosines), float(max(differences))


def _cosine(one: Float32, other: Float32) -> float:
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else float(np.array_equal(a, b))
