"""Reading pictures and masks, and what can be wrong with a pair of them."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from seg.errors import DataError
from seg.imaging.image_io import read_picture
from seg.imaging.letterbox import Size
from seg.results import UInt8


def read_image(path: Path) -> UInt8:
    """Reads a picture, turned upright as its EXIF orientation says.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.

    Raises:
        DataError: The file is missing, cut off, or no picture.
    """
    try:
        image = read_picture(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if image is None:
        raise DataError(f"{path}: not a picture, or damaged")
    return image


def read_mask(path: Path) -> UInt8:
    """Reads a mask's own values, turned upright like a picture.

    With Pillow: OpenCV turns a palette's indices, which are the labels, into colours.

    Returns:
        uint8 `(H, W)`, a new array.

    Raises:
        DataError: The file is missing, damaged, or has more than one channel of 8 bits.
    """
    try:
        with Image.open(path) as file:
            mode = file.mode
            ImageOps.exif_transpose(file, in_place=True)
            values = np.array(file)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such mask") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a mask, or damaged") from error
    if mode not in ("1", "L", "P"):
        raise DataError(
            f"{path}: a mask is one channel of 8 bits that holds labels; this has mode {mode}, "
            "so write its labels in place of its colours"
        )
    return values.astype(np.uint8, copy=False)


def fits(mask_hw: Size, image_hw: Size) -> bool:
    """Says whether a mask has its picture's size, or its aspect within a pixel of rounding."""
    if mask_hw == image_hw:
        return True
    # The cross products differ by one long side where the smaller picture is off by one pixel.
    (h, w), (mask_h, mask_w) = image_hw, mask_hw
    return abs(h * mask_w - w * mask_h) <= max(h, w, mask_h, mask_w)


def size_fault(path: Path, mask_hw: Size, image_hw: Size) -> str:
    """Returns the fault of a mask that does not fit its picture; empty where it does."""
    if fits(mask_hw, image_hw):
        return ""
    turned = "; masks belong to the upright picture, after its EXIF orientation"
    return (
        f"{path}: size {mask_hw[1]}x{mask_hw[0]}, its picture is {image_hw[1]}x{image_hw[0]}"
        f"{turned if fits(mask_hw[::-1], image_hw) else ''}"
    )
