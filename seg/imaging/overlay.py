"""Overlay: a mask drawn over a frame. Draws, decides nothing.

Colours are BGR. Class 0 is the background and is never drawn.
"""

import colorsys
import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from seg.errors import ShapeError
from seg.imaging.letterbox import check_image, hw_of
from seg.results import Mask, UInt8

Colour = tuple[int, int, int]
# The first class is a colour that neither skin, leaves, sky nor asphalt have.
FIRST_HUE, GOLDEN_ANGLE = 0.87, 0.381966


@dataclasses.dataclass(frozen=True, slots=True)
class Palette:
    """A colour for each class, always the same one.

    Classes beyond the given colours get hues that step around the circle by the golden angle, so
    that neighbours differ however many there are.

    Attributes:
        colours: BGR, 0..255, of class 1, 2 and so on.
    """

    colours: Sequence[Colour] = ()

    def __post_init__(self) -> None:
        for colour in self.colours:
            if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise ShapeError(f"A colour is three numbers (B, G, R) of 0..255; got {colour}.")

    def __getitem__(self, label: int) -> Colour:
        """Returns the colour of class `label`, which is 1..255."""
        if label <= len(self.colours):
            return self.colours[label - 1]
        hue = (FIRST_HUE + (label - 1) * GOLDEN_ANGLE) % 1
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 1)
        return round(blue * 255), round(green * 255), round(red * 255)

    def table(self) -> UInt8:
        """Returns uint8 `(256, 1, 3)`: the colour of each label, black for the background."""
        return np.array([[(0, 0, 0)], *([self[label]] for label in range(1, 256))], np.uint8)


class _Buffers:
    """What drawing onto frames of one size needs; made once, since fresh pages cost most."""

    def __init__(self, hw: tuple[int, int], colour: Colour) -> None:
        self.hw = hw
        self.mixed: UInt8 = np.empty((*hw, 3), np.uint8)
        self.plane: UInt8 = np.empty((*hw, 3), np.uint8)
        self.plane[:] = colour
        self.inner: UInt8 = np.empty(hw, np.uint8)
        width = 1 + min(hw) // 500
        self.kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * width + 1, 2 * width + 1))


class Overlay:
    """Draws masks over frames; one for each thread, since it keeps buffers.

    Args:
        opacity: 0 leaves the frame as it is, 1 covers it with the class's colour.
        outline: Whether each region's edge, inside the region, gets the full colour.
        palette: The colours.

    Raises:
        ShapeError: `opacity` is not in 0..1.
    """

    def __init__(
        self, opacity: float = 0.5, outline: bool = True, palette: Palette | None = None
    ) -> None:
        if not 0 <= opacity <= 1:
            raise ShapeError(f"Opacity is a number from 0 to 1; got {opacity}.")
        self.opacity, self.outline = opacity, outline
        self.palette = palette or Palette()
        self._table = self.palette.table()
        self._buffers: _Buffers | None = None

    def draw(self, image: UInt8, mask: Mask, caption: str = "", out: UInt8 | None = None) -> UInt8:
        """Draws a mask over a frame, and a line of text in the corner.

        Args:
            image: uint8 `(H, W, 3)` BGR; never changed.
            mask: Of the same size.
            caption: Light text on a dark box at the top left; nothing where empty.
            out: Where to draw, uint8 `(H, W, 3)`, no memory shared with `image`; None makes it.

        Returns:
            The picture, uint8 `(H, W, 3)` BGR: `out`, or a new array.

        Raises:
            ShapeError: Sizes differ, or an array has another dtype or layout.
        """
        check_image(image)
        if mask.labels.shape != image.shape[:2]:
            raise ShapeError(
                f"A mask of {mask.labels.shape} does not fit a frame of {image.shape[:2]}."
            )
        picture = _copy(image, out)
        buffers = self._fit(hw_of(image))
        # With one class to draw the colour plane stays as it is: a third of the cost.
        if len(mask.classes) > 2:
            cv2.applyColorMap(mask.labels, self._table, dst=buffers.plane)
        cv2.addWeighted(image, 1 - self.opacity, buffers.plane, self.opacity, 0, dst=buffers.mixed)
        cv2.copyTo(buffers.mixed, mask.labels, picture)
        if self.outline:
            cv2.erode(mask.labels, buffers.kernel, dst=buffers.inner)
            cv2.compare(mask.labels, buffers.inner, cv2.CMP_GT, dst=buffers.inner)
            cv2.copyTo(buffers.plane, buffers.inner, picture)
        if caption:
            _write(picture, caption)
        return picture

    def _fit(self, hw: tuple[int, int]) -> _Buffers:
        if self._buffers is None or self._buffers.hw != hw:
            self._buffers = _Buffers(hw, self.palette[1])
        return self._buffers


def _copy(image: UInt8, out: UInt8 | None) -> UInt8:
    if out is None:
        return image.copy()
    if out.shape != image.shape or out.dtype != np.uint8 or np.shares_memory(out, image):
        raise ShapeError(
            f"`out` is another uint8 {image.shape} array; got {out.dtype} {out.shape}"
            f"{', the image itself' if np.shares_memory(out, image) else ''}."
        )
    np.copyto(out, image)
    return out


def _write(picture: UInt8, text: str) -> None:
    """Writes a line into the top left corner, sized to the picture."""
    scale = max(0.5, min(picture.shape[:2]) / 900)
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(scale * 1.6))
    (width, height), below = cv2.getTextSize(text, font, scale, thickness)
    gap = max(3, height // 2)
    box = picture[: height + below + 2 * gap, : width + 2 * gap]
    box[:] = box // 4
    place, white = (gap, gap + height), (255, 255, 255)
    cv2.putText(picture, text, place, font, scale, white, thickness, cv2.LINE_AA)
