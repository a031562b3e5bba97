"""GuidedFilter: score maps that follow the edges of an image."""

import cv2
import numpy as np

from seg.errors import ShapeError
from seg.results import Float32

# Variance of the luminance, 0..1, from which on an edge is kept. Of 1e-4 to 1e-1, tried on training
# images (docs/benchmarks.md), those up to 1e-3 score alike, larger ones worse.
EPSILON = 1e-3


class GuidedFilter:
    """Smooths scores except where the image has an edge (He et al., TPAMI 2013).

    In each window the scores are fitted by a linear function of the guide, a = cov / (var + eps),
    and each pixel takes the mean of the windows it is in. Windows are cut at the border. So the
    result is linear in the scores: a margin of two classes may be filtered as one map.

    Args:
        guide: float32 `(H, W)`, 0..1, the image's luminance.
        radius: Windows have sides of 2 radius + 1 pixels.
        epsilon: Guides whose variance in a window is far below it are taken for flat.

    Raises:
        ShapeError: The guide is not a float32 map.
    """

    def __init__(self, guide: Float32, radius: int, epsilon: float = EPSILON) -> None:
        if guide.ndim != 2 or guide.dtype != np.float32:
            raise ShapeError(f"A guide is float32 (H, W); got {guide.dtype} {guide.shape}.")
        self._side = 2 * radius + 1
        self._guide: Float32 = guide
        self._inverse = 1 / self._sum(np.ones_like(guide))
        self._mean = self._box(guide)
        self._variance = self._box(guide * guide) - self._mean * self._mean + np.float32(epsilon)

    def __call__(self, scores: Float32) -> Float32:
        """Filters a map of the guide's size: float32 `(H, W)` -> a new array of the same kind.

        Raises:
            ShapeError: The map has another size.
        """
        if scores.shape != self._guide.shape:
            raise ShapeError(f"The guide is {self._guide.shape}; got scores {scores.shape}.")
        mean = self._box(scores)
        covariance: Float32 = self._box(self._guide * scores) - self._mean * mean
        slope: Float32 = covariance / self._variance
        offset: Float32 = mean - slope * self._mean
        filtered: Float32 = self._box(slope) * self._guide + self._box(offset)
        return filtered

    def _box(self, values: Float32) -> Float32:
        return np.asarray(self._sum(values) * self._inverse, np.float32)

    def _sum(self, values: Float32) -> Float32:
        sides = (self._side, self._side)
        # Zeros beyond the border, and the number of pixels inside taken out afterwards.
        total = cv2.boxFilter(
            values, cv2.CV_32F, sides, normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        return np.asarray(total, np.float32)


def luminance(pixels: Float32) -> Float32:
    """Returns the luminance (Rec. 601) of `(1, 3, H, W)` RGB, 0..1: float32 `(H, W)`, a copy."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(np.tensordot(weights, pixels[0], 1), np.float32)
