"""Principal components of patches, as colors: the feature images of DINOv2's paper.

The paper's two steps (Oquab et al., 2023, section 7.6): the first component of all patches divides
the foreground from the background; the first three components of the foreground, of all images
together, become red, green and blue. One basis serves all images and frames, so that a color means
the same in each. Patches are brought to length 1 first, which DINOv2's nearly have among each
other: of a convolutional network the first component would be how strongly a patch responds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from seg.errors import SpecMismatch
from seg.features.vectors import normalized
from seg.results import Float32, UInt8

MAX_PATCHES = 100_000  # of all images; more are thinned out evenly
RANGE = (1.0, 99.0)  # percentiles of a component's values that become 0 and 255
NUM_COLORS = 3


def principal_components(vectors: Float32, count: int) -> tuple[Float32, Float32]:
    """Returns the mean `(D,)` and the first components `(count, D)`, of length 1.

    A component points to where its largest weight is positive.

    Args:
        vectors: `(N, D)`.
        count: At most N - 1 and D.

    Raises:
        SpecMismatch: There are too few vectors or weights.
    """
    if not 0 < count <= min(len(vectors) - 1, vectors.shape[1]):
        raise SpecMismatch(
            f"{count} components need at least {count + 1} vectors of {count}; got "
            f"{len(vectors)} of {vectors.shape[1]}. Take more images, or larger ones."
        )
    mean = vectors.mean(0, dtype=np.float64)
    centered = vectors - mean
    _, directions = np.linalg.eigh(centered.T @ centered)  # in rising order
    found = directions[:, : -count - 1 : -1].T
    largest = found[np.arange(count), np.abs(found).argmax(1)]
    found = found * np.where(largest < 0, -1, 1)[:, None]
    return np.asarray(mean, np.float32), np.asarray(found, np.float32)


@dataclasses.dataclass(frozen=True, slots=True)
class PcaView:
    """Colors of patches by their principal components; the background is black.

    Attributes:
        mean: `(D,)`, of all patches.
        split: `(D,)`, what divides foreground, where it is not negative, from background; zeros
            where everything is foreground.
        foreground_mean: `(D,)`.
        components: `(3, D)`, of the foreground.
        low: `(3,)`, value of each component that is 0 in its color.
        high: `(3,)`, value that is 255.
    """

    kind: ClassVar[str] = "pca"

    mean: Float32
    split: Float32
    foreground_mean: Float32
    components: Float32
    low: Float32
    high: Float32

    @classmethod
    def fit(cls, grids: Sequence[Float32], *, is_whole: bool = False) -> Self:
        """Finds the basis of some images.

        The first component's sign is chosen so that the foreground is what lies less on the
        images' borders: the mean over their outermost patches is below that over the others.

        Args:
            grids: Patches of each image, `(h, w, D)`.
            is_whole: Whether everything is foreground, which leaves out the first step.

        Raises:
            SpecMismatch: There are too few patches.
        """
        vectors = normalized(thinned(grids))
        mean, (split,) = principal_components(vectors, 1)
        inner, border = (
            np.concatenate([(normalized(part) - mean) @ split for part in parts])
            for parts in zip(*map(_inner_and_border, grids), strict=True)
        )
        if is_whole:
            split = np.zeros_like(split)
        elif inner.size and inner.mean() < border.mean():
            split = -split
        foreground = vectors[(vectors - mean) @ split >= 0]
        center, components = principal_components(foreground, NUM_COLORS)
        low, high = np.percentile((foreground - center) @ components.T, RANGE, axis=0)
        return cls(mean, split, center, components, _float32(low), _float32(high))

    def is_foreground(self, patches: Float32) -> NDArray[np.bool_]:
        """Returns which patches are foreground: `(..., D)` -> bool `(...)`."""
        return np.asarray((normalized(patches) - self.mean) @ self.split >= 0)

    def colors(self, patches: Float32) -> UInt8:
        """Returns the color of each patch: `(h, w, D)` -> uint8 `(h, w, 3)` BGR."""
        values = (normalized(patches) - self.foreground_mean) @ self.components.T
        rgb = (values - self.low) / np.maximum(self.high - self.low, 1e-12)
        rgb[~self.is_foreground(patches)] = 0
        return np.asarray(np.rint(255 * np.clip(rgb[..., ::-1], 0, 1)), np.uint8)

    def arrays(self) -> Mapping[str, Float32]:
        """Returns what a file keeps of it."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def thinned(grids: Sequence[Float32]) -> Float32:
    """Returns the patches of all images, `(N, D)`; of more than `MAX_PATCHES` every n-th."""
    vectors = np.concatenate([grid.reshape(-1, grid.shape[-1]) for grid in grids])
    return vectors[:: -(-len(vectors) // MAX_PATCHES)]


def _inner_and_border(grid: Float32) -> tuple[Float32, Float32]:
    inner = np.zeros(grid.shape[:2], np.bool_)
    inner[1:-1, 1:-1] = True
    return grid[inner], grid[~inner]


def _float32(values: NDArray[np.float64]) -> Float32:
    return np.asarray(values, np.float32)
