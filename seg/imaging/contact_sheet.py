"""Contact sheets: rows of small images with captions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from seg.errors import SegError
from seg.imaging.annotators import Caption
from seg.imaging.letterbox import Letterbox, hw_of, resize
from seg.imaging.overlay import Overlay
from seg.results import UInt8

WHITE, GRAY = 255, 200


class Cell(NamedTuple):
    """One image of a sheet.

    Attributes:
        path: The image's file.
        caption: What is written onto it.
    """

    path: str
    caption: str


def tile(image: UInt8, side: int) -> UInt8:
    """Fits an image into the top left of a white square."""
    small = fit(image, side)
    square = np.full((side, side, 3), WHITE, np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return square


def fit(image: UInt8, side: int) -> UInt8:
    """Resizes an image so that its longer side is `side`."""
    return resize(image, Letterbox.fit(hw_of(image), (side, side), 1).image_hw)


def contact_sheet(
    rows: Sequence[Sequence[Cell]], read: Callable[[str], UInt8], side: int = 200
) -> UInt8:
    """Draws rows of images with their captions; an image that cannot be read is gray.

    Args:
        rows: At least one, with at least one cell.
        read: Returns an image, or raises SegError.
        side: Of each image's square, in pixels.

    Returns:
        uint8 `(len(rows) * side, most * side, 3)` BGR.
    """
    most = max(len(row) for row in rows)
    sheet = np.full((len(rows) * side, most * side, 3), WHITE, np.uint8)
    for top, row in enumerate(rows):
        for left, cell in enumerate(row):
            try:
                square = tile(read(cell.path), side)
            except SegError:
                square = np.full((side, side, 3), GRAY, np.uint8)
            drawn = Overlay().draw(square, Caption(cell.caption))
            sheet[top * side :, left * side :][:side, :side] = drawn
    return sheet
