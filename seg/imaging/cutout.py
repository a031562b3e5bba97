"""What stands out of its background: cut out with alpha, or before another background."""

from collections.abc import Callable

import cv2
import numpy as np

from seg.imaging.letterbox import hw_of, resize
from seg.results import Mask, UInt8

FEATHER = 5  # pixels over which an edge fades, an odd number
BLUR = 0.03  # sigma of a blurred background, of the image's longer side
Background = Callable[[UInt8], UInt8]


def alpha_of(mask: Mask) -> UInt8:
    """Returns the opacity of what is not background, uint8 `(H, W)`, 255 opaque; edges fade."""
    hard = np.where(mask.labels > 0, np.uint8(255), np.uint8(0))
    return np.asarray(cv2.blur(hard, (FEATHER, FEATHER)), np.uint8)


def cut_out(image: UInt8, mask: Mask) -> UInt8:
    """Returns uint8 `(H, W, 4)` BGRA, the color not multiplied by alpha."""
    return np.dstack([image, alpha_of(mask)])


def replace_background(image: UInt8, mask: Mask, background: Background) -> UInt8:
    """Returns the image with another background: uint8 `(H, W, 3)` BGR, a new array."""
    alpha = alpha_of(mask)[..., None].astype(np.float32) / np.float32(255)
    behind = background(image)
    return np.asarray((image * alpha + behind * (1 - alpha)).round(), np.uint8)


def blurred(image: UInt8) -> UInt8:
    """Returns the image out of focus."""
    small = resize(image, (max(1, image.shape[0] // 4), max(1, image.shape[1] // 4)))
    soft = np.asarray(cv2.GaussianBlur(small, (0, 0), BLUR * max(hw_of(small))), np.uint8)
    return resize(soft, hw_of(image))


def of_color(bgr: tuple[int, int, int]) -> Background:
    """Returns what makes a background of one color."""
    return lambda image: np.full_like(image, bgr)


def of_image(behind: UInt8) -> Background:
    """Returns what makes a background of an image, scaled to cover and cut evenly."""

    def fitted(image: UInt8) -> UInt8:
        height, width = hw_of(image)
        scale = max(height / behind.shape[0], width / behind.shape[1])
        size = (
            max(height, round(scale * behind.shape[0])),
            max(width, round(scale * behind.shape[1])),
        )
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        return resize(behind, size)[top : top + height, left : left + width]

    return fitted
