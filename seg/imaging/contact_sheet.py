"""Contact sheets: small images side by side."""

import numpy as np

from seg.imaging.letterbox import Letterbox, hw_of, resize
from seg.results import UInt8


def tile(image: UInt8, side: int) -> UInt8:
    """Fits an image into the top left of a white square."""
    box = Letterbox.fit(hw_of(image), (side, side), 1)
    square = np.full((side, side, 3), 255, np.uint8)
    square[: box.image_hw[0], : box.image_hw[1]] = resize(image, box.image_hw)
    return square
