"""Whether two images show the same pixels: one scaled, re-encoded, mirrored or cropped.

Images are alike where their features are; they are copies only where one can be laid onto the other
and the pixels agree. A similarity transform is estimated from SIFT keypoints (Lowe 2004) by RANSAC.
"""

import dataclasses
import functools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.imaging.letterbox import Letterbox, Size, hw_of, resize
from seg.results import Float32, UInt8

SIDE = 256  # pixels of the longer side that are compared
BLOCK = 16  # pixels of a block whose differences are averaged: noise and JPEG's errors go away
NUM_KEYPOINTS, RATIO = 400, 0.8
LEAST_INLIERS, TOLERANCE = 10, 3.0  # keypoints, pixels
LEAST_OVERLAP = 0.1  # of the smaller image's area
MEAN_DIFFERENCE, WORST_DIFFERENCE, CORRELATION = 8.0, 24.0, 0.93  # gray levels, over blocks
Matrix = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Overlap:
    """How one image lies on another.

    Attributes:
        is_mirrored: Whether the other one is mirrored.
        covered: Fraction of the first image's area that the other one shows, 0..1.
        inside: Fraction of the other image's area that lies on the first one, 0..1.
        scale: Pixels of the first image for the length of one pixel of the other.
    """

    is_mirrored: bool
    covered: float
    inside: float
    scale: float

    @property
    def is_contained(self) -> bool:
        """Whether the first image has all that the other one shows, in no fewer pixels."""
        return self.inside >= 0.95 and self.scale >= 0.95

    def inverse(self) -> "Overlap":
        """Returns how the first image lies on the other one."""
        return Overlap(self.is_mirrored, self.inside, self.covered, 1 / self.scale)

    def __str__(self) -> str:
        said = ["mirrored"] if self.is_mirrored else []
        said += [f"a crop of {self.covered:.0%}"] if self.covered < 0.95 else []
        said += [f"scaled to {1 / self.scale:.0%}"] if abs(self.scale - 1) > 0.02 else []
        return ", ".join(said) or "the same image"


class PreparedImage:
    """An image as it is compared: small and gray, with keypoints that are found when needed.

    Args:
        image: uint8 `(H, W, 3)` BGR.
    """

    def __init__(self, image: UInt8) -> None:
        self.frame_hw: Size = hw_of(image)
        small_hw = Letterbox.fit(self.frame_hw, (SIDE, SIDE), 1).image_hw
        gray = cv2.cvtColor(resize(image, small_hw), cv2.COLOR_BGR2GRAY)
        self.gray = np.asarray(gray, np.uint8)

    @property
    def num_pixels(self) -> int:
        """Of the image itself."""
        return self.frame_hw[0] * self.frame_hw[1]

    @property
    def shrunk(self) -> float:
        """Pixels of the small image for one of the image itself."""
        return math.sqrt(self.gray.size / self.num_pixels)

    @functools.cached_property
    def keypoints(self) -> tuple[Float32, UInt8]:
        """Points `(n, 2)`, x and y, and descriptors `(n, 128)`."""
        return _keypoints(self.gray)

    @functools.cached_property
    def mirrored_keypoints(self) -> tuple[Float32, UInt8]:
        """Those of the image mirrored left to right."""
        return _keypoints(cv2.flip(self.gray, 1))

    def mirrored(self) -> "PreparedImage":
        """Returns the image mirrored left to right."""
        other = object.__new__(PreparedImage)
        other.frame_hw = self.frame_hw
        other.gray = np.asarray(cv2.flip(self.gray, 1), np.uint8)
        other.__dict__["keypoints"] = self.mirrored_keypoints
        return other


def find_overlap(first: PreparedImage, other: PreparedImage) -> Overlap | None:
    """Returns how an image lies on another one; None where they are not copies of each other."""
    for is_mirrored in (False, True):
        placed = other.mirrored() if is_mirrored else other
        for matrix in (_whole_frame(first, placed), _registered(first, placed)):
            if matrix is not None and (found := _overlap(first, placed, matrix, is_mirrored)):
                return found
    return None


def _keypoints(gray: UInt8 | Any) -> tuple[Float32, UInt8]:
    sift = cv2.SIFT_create(nfeatures=NUM_KEYPOINTS, contrastThreshold=0.02)  # type: ignore[attr-defined]
    found, descriptors = sift.detectAndCompute(gray, None)
    if descriptors is None:
        return np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8)
    points = np.array([point.pt for point in found], np.float32)
    return points, descriptors.astype(np.uint8)  # whole numbers up to 255


def _whole_frame(first: PreparedImage, other: PreparedImage) -> Matrix | None:
    """Returns the transform of one frame onto the other, where their aspect ratios are equal."""
    scales = [a / b for a, b in zip(first.gray.shape, other.gray.shape, strict=True)]
    if not 0.97 < scales[0] / scales[1] < 1.03:
        return None
    shift = [(scale - 1) / 2 for scale in scales]  # half-pixel centers
    return np.array([[scales[1], 0, shift[1]], [0, scales[0], shift[0]]])


def _registered(first: PreparedImage, other: PreparedImage) -> Matrix | None:
    """Returns the similarity transform that most keypoints agree on."""
    (points, descriptors), (others, wanted) = first.keypoints, other.keypoints
    if min(len(points), len(others)) < LEAST_INLIERS:
        return None
    matches = cv2.BFMatcher().knnMatch(wanted.astype(np.float32), descriptors.astype(np.float32), 2)
    good = [m for m, second in matches if m.distance < RATIO * second.distance]
    if len(good) < LEAST_INLIERS:
        return None
    source = others[[match.queryIdx for match in good]]
    target = points[[match.trainIdx for match in good]]
    matrix, inliers = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=TOLERANCE)
    if matrix is None or inliers.sum() < LEAST_INLIERS:
        return None
    return np.asarray(matrix, np.float64)


def _overlap(
    first: PreparedImage, other: PreparedImage, matrix: Matrix, is_mirrored: bool
) -> Overlap | None:
    """Lays one image onto the other; returns how, if their pixels agree."""
    scale = abs(np.linalg.det(matrix[:, :2])) ** 0.5
    if not 0.05 < scale < 20:
        return None
    height, width = first.gray.shape
    sharpness = max(1.0, scale, 1 / scale)
    ours, theirs = (_blurred(image.gray, sharpness) for image in (first, other))
    laid = cv2.warpAffine(theirs, matrix, (width, height), flags=cv2.INTER_LINEAR)
    mask = cv2.warpAffine(np.ones_like(theirs), matrix, (width, height), flags=cv2.INTER_NEAREST)
    area, other_area = int(mask.sum()), scale**2 * other.gray.size
    if area < LEAST_OVERLAP * min(height * width, other_area):
        return None
    if not _agree(ours, np.asarray(laid, np.uint8), np.asarray(mask, np.uint8)):
        return None
    return Overlap(
        is_mirrored=is_mirrored,
        covered=min(1.0, area / (height * width)),
        inside=min(1.0, area / other_area),
        scale=scale * other.shrunk / first.shrunk,
    )


def _agree(ours: UInt8, laid: UInt8, mask: UInt8) -> bool:
    """Tells whether two images are the same where the mask is 1, block by block."""
    inner = cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=1)
    weights = _block_means(inner.astype(np.float32))
    is_full = weights > 0.5
    if not is_full.any():
        return False
    difference = np.abs(ours.astype(np.float32) - laid) * inner
    blocks = _block_means(difference)[is_full] / weights[is_full]
    if blocks.mean() > MEAN_DIFFERENCE or np.percentile(blocks, 98) > WORST_DIFFERENCE:
        return False
    chosen = np.stack([ours[inner > 0], laid[inner > 0]]).astype(np.float64)
    if chosen.std(1).min() < 2:  # plain color: there is nothing to correlate
        return bool(blocks.max() < 2)
    return bool(np.asarray(np.corrcoef(chosen))[0, 1] >= CORRELATION)


def _block_means(values: Float32) -> Float32:
    height, width = (max(1, side // BLOCK) for side in values.shape)
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _blurred(gray: UInt8, scale: float) -> UInt8:
    """Blurs so far that what one image has lost in its scaling does not count."""
    return np.asarray(cv2.GaussianBlur(gray, (0, 0), 0.8 * scale), np.uint8)
