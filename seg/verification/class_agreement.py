"""How well the classes of two models agree on the same images."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from seg.errors import SpecMismatch
from seg.results import Classification
from seg.verification.tolerances import TOLERANCES


@dataclasses.dataclass(frozen=True, slots=True)
class ClassAgreement:
    """How far a candidate's classes are from its reference's.

    Attributes:
        top1_agreement: Share of the images whose likeliest class is the same.
        top1_ratio: Lowest ratio, over the images, of two probabilities of the reference: that of
            the candidate's class and that of its own. 1 where they are the same, and near 1 where
            the reference hardly tells them apart.
        probability_distance: Largest difference of a class's probabilities in an image.
    """

    top1_agreement: float
    top1_ratio: float
    probability_distance: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers for metadata and JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return (
            f"{100 * self.top1_agreement:.2f} % of the images have the same class, lowest ratio "
            f"{self.top1_ratio:.4f}, largest difference of a probability "
            f"{self.probability_distance:.2g}"
        )

    def passes(self, precision: str) -> bool:
        """Tells whether the classes are as near as `precision` allows."""
        limits = TOLERANCES[precision]
        return (
            self.top1_ratio >= limits.top1_ratio
            and self.probability_distance <= limits.probability_distance
        )

    def expected(self, precision: str) -> str:
        """Describes what `passes` asks for."""
        limits = TOLERANCES[precision]
        return (
            f"the same classes, but for ties within a ratio of {limits.top1_ratio}, and "
            f"probabilities within {limits.probability_distance}"
        )


def compare_classes(pairs: Sequence[tuple[Classification, Classification]]) -> ClassAgreement:
    """Compares classifications with classifications.

    Args:
        pairs: For each image the reference's and the candidate's, of the same classes.

    Raises:
        SpecMismatch: There is no image.
    """
    if not pairs:
        raise SpecMismatch("A comparison needs at least one image.")
    ratios = [a.probabilities[b.label] / a.probabilities[a.label] for a, b in pairs]
    distances = [np.abs(a.probabilities - b.probabilities).max() for a, b in pairs]
    return ClassAgreement(
        top1_agreement=float(np.mean([a.label == b.label for a, b in pairs])),
        top1_ratio=float(min(ratios)),
        probability_distance=float(max(distances)),
    )
