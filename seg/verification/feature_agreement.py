"""How well the features of two models agree on the same images."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg.errors import ParityError, SpecMismatch
from seg.results import Features
from seg.verification.tolerances import TOLERANCES


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureAgreement:
    """How far a candidate's features are from its reference's.

    Attributes:
        cls_cosine: Lowest cosine between the two vectors of an image.
        patch_cosine: Lowest mean, over an image, of the cosines between its patches; None where
            the two cut every image into other patches.
    """

    cls_cosine: float
    patch_cosine: float | None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers for metadata and JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        text = f"lowest cosine of an image's vector {self.cls_cosine:.6f}"
        if self.patch_cosine is None:
            return f"{text}, other patches"
        return f"{text}, lowest mean cosine of its patches {self.patch_cosine:.6f}"

    def passes(self, precision: str) -> bool:
        """Tells whether the features are as near as `precision` allows."""
        least = TOLERANCES[precision].feature_cosine
        return min(self.cls_cosine, self.patch_cosine or self.cls_cosine) >= least

    def expected(self, precision: str) -> str:
        """Describes what `passes` asks for."""
        return f"features with cosines of at least {TOLERANCES[precision].feature_cosine}"


def compare_features(pairs: Sequence[tuple[Features, Features]]) -> FeatureAgreement:
    """Compares features with features.

    Args:
        pairs: For each image the reference's and the candidate's, of one width.

    Raises:
        SpecMismatch: There is no image.
        ParityError: The two have features of different widths.
    """
    if not pairs:
        raise SpecMismatch("A comparison needs at least one image.")
    for one, other in pairs:
        if one.cls.shape != other.cls.shape:
            raise ParityError(f"Expected features of {one.cls.shape}, got {other.cls.shape}.")
    of_patches = [
        float(_cosines(one.patches, other.patches).mean())
        for one, other in pairs
        if one.patches.shape == other.patches.shape
    ]
    return FeatureAgreement(
        cls_cosine=min(float(_cosines(one.cls, other.cls)) for one, other in pairs),
        patch_cosine=min(of_patches, default=None),
    )


def _cosines(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the cosines along the last axis; two vectors of zeros agree."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    same = np.all(a == b, axis=-1).astype(np.float64)
    cosines = (a * b).sum(-1) / np.where(lengths > 0, lengths, 1)
    return np.asarray(np.where(lengths > 0, cosines, same), np.float64)
