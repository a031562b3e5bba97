"""Palette: a color for each class, always the same one. Colors are BGR."""

import colorsys
import dataclasses
from collections.abc import Sequence

import numpy as np

from seg.errors import ShapeError
from seg.results import UInt8

Color = tuple[int, int, int]
# The first class is a color that neither skin, leaves, sky nor asphalt have.
FIRST_HUE, GOLDEN_ANGLE = 0.87, 0.381966


@dataclasses.dataclass(frozen=True, slots=True)
class Palette:
    """A color for each class.

    Classes beyond the given colors get hues that step around the circle by the golden angle, so
    that neighbors differ however many there are.

    Attributes:
        colors: BGR, 0..255, of class 1, 2 and so on.
    """

    colors: Sequence[Color] = ()

    def __post_init__(self) -> None:
        for color in self.colors:
            if len(color) != 3 or not all(0 <= part <= 255 for part in color):
                raise ShapeError(f"A color is three numbers (B, G, R) of 0..255; got {color}.")

    def __getitem__(self, label: int) -> Color:
        """Returns the color of class `label`, which is 1..255."""
        if label <= len(self.colors):
            return self.colors[label - 1]
        hue = (FIRST_HUE + (label - 1) * GOLDEN_ANGLE) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1)
        return round(blue * 255), round(green * 255), round(red * 255)

    def table(self) -> UInt8:
        """Returns uint8 `(256, 1, 3)`: the color of each label, black for the background."""
        return np.array([[(0, 0, 0)], *([self[label]] for label in range(1, 256))], np.uint8)
