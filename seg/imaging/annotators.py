"""Annotators: each draws one type of result onto an image, in place, and decides nothing.

Colors are BGR. Class 0 is the background and is never drawn.
"""

import dataclasses
from typing import Any, Protocol

import cv2
import numpy as np

from seg.errors import ShapeError
from seg.imaging.letterbox import Size, hw_of
from seg.imaging.palette import Palette
from seg.results import Classification, Mask, PatchColors, UInt8


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How results are drawn; an annotator takes from it what concerns its type.

    Attributes:
        opacity: 0 leaves the image as it is, 1 covers it with a region's color.
        outline: Whether each region's edge, inside the region, gets the full color.
        palette: The colors.
        num_classes: How many of an image's likeliest classes are written into it.

    Raises:
        ShapeError: `opacity` is not in 0..1.
    """

    opacity: float = 0.5
    outline: bool = True
    palette: Palette = dataclasses.field(default_factory=Palette)
    num_classes: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise ShapeError(f"Opacity is a number from 0 to 1; got {self.opacity}.")


class Annotator(Protocol):
    """Draws the results of one type; one for each thread, since it may keep buffers."""

    def draw(self, image: UInt8, result: Any, /) -> None:
        """Draws a result onto uint8 `(H, W, 3)` BGR, in place.

        Raises:
            ShapeError: The result does not fit the image.
        """


class _Buffers:
    """What drawing onto images of one size needs; made once, since fresh pages cost most."""

    def __init__(self, hw: tuple[int, int]) -> None:
        self.hw = hw
        self.mixed: UInt8 = np.empty((*hw, 3), np.uint8)
        self.colors: UInt8 = np.empty((*hw, 3), np.uint8)
        self.has_one_color = False
        self.inner: UInt8 = np.empty(hw, np.uint8)
        width = 1 + min(hw) // 500
        self.kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (2 * width + 1, 2 * width + 1))


class MaskAnnotator:
    """Draws a mask: each class in its color, and the edges of its regions."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._table = style.palette.table()
        self._buffers: _Buffers | None = None

    def draw(self, image: UInt8, mask: Mask, /) -> None:
        """Draws a mask of the image's own size; raises ShapeError for another."""
        if hw_of(mask.labels) != hw_of(image):
            raise ShapeError(
                f"A mask of {hw_of(mask.labels)} does not fit an image of {hw_of(image)}."
            )
        buffers = self._paint(mask)
        opacity = self._style.opacity
        cv2.addWeighted(image, 1 - opacity, buffers.colors, opacity, 0, dst=buffers.mixed)
        cv2.copyTo(buffers.mixed, mask.labels, image)
        if self._style.outline:
            cv2.erode(mask.labels, buffers.kernel, dst=buffers.inner)
            cv2.compare(mask.labels, buffers.inner, cv2.CMP_GT, dst=buffers.inner)
            cv2.copyTo(buffers.colors, buffers.inner, image)

    def _paint(self, mask: Mask) -> _Buffers:
        """Returns buffers of the mask's size that hold the color of each pixel's class."""
        hw = hw_of(mask.labels)
        if self._buffers is None or self._buffers.hw != hw:
            self._buffers = _Buffers(hw)
        buffers = self._buffers
        has_one_color = len(mask.classes) <= 2
        if not has_one_color:
            cv2.applyColorMap(mask.labels, self._table, dst=buffers.colors)
        elif not buffers.has_one_color:  # else it still holds it: a third of the cost
            buffers.colors[:] = self._style.palette[1]
        buffers.has_one_color = has_one_color
        return buffers


class PatchAnnotator:
    """Draws the colors of patches, interpolated between their centers."""

    def __init__(self, style: Style) -> None:
        self._opacity = style.opacity

    def draw(self, image: UInt8, patches: PatchColors, /) -> None:
        """Draws patches of an image of this size; raises ShapeError for another."""
        if patches.frame_hw != hw_of(image):
            raise ShapeError(
                f"Patches of {patches.frame_hw} do not fit an image of {hw_of(image)}."
            )
        colors, (rows, columns) = paint_patches(patches, hw_of(image))
        part = image[rows, columns]
        cv2.addWeighted(part, 1 - self._opacity, colors[rows, columns], self._opacity, 0, dst=part)


def paint_patches(patches: PatchColors, hw: Size) -> tuple[UInt8, tuple[slice, slice]]:
    """Enlarges the colors of patches to an image.

    Args:
        patches: With colors between their centers that are interpolated.
        hw: Size of the image, or another of the same aspect.

    Returns:
        uint8 `(*hw, 3)` BGR, and the rows and columns that the patches cover.
    """
    scales = [side / frame for side, frame in zip(hw, patches.frame_hw, strict=True)]
    (height, width), (top, left) = (
        [value * scale for value, scale in zip(pair, scales, strict=True)]
        for pair in (patches.patch_hw, patches.origin)
    )
    # From the center of a pixel of the image to the patch that it is in.
    matrix = np.array(
        [
            [1 / width, 0, (0.5 - left) / width - 0.5],
            [0, 1 / height, (0.5 - top) / height - 0.5],
        ]
    )
    painted = cv2.warpAffine(
        patches.colors, matrix, (hw[1], hw[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    num_rows, num_columns = hw_of(patches.colors)
    rows = slice(max(0, round(top)), min(hw[0], round(top + num_rows * height)))
    columns = slice(max(0, round(left)), min(hw[1], round(left + num_columns * width)))
    return np.asarray(painted, np.uint8), (rows, columns)


@dataclasses.dataclass(frozen=True, slots=True)
class Caption:
    """Lines of text for the top left corner; nothing is drawn where it is empty."""

    text: str


class CaptionAnnotator:
    """Writes light text on a dark box, sized to the image."""

    def __init__(self, style: Style) -> None:
        pass

    def draw(self, image: UInt8, caption: Caption, /) -> None:
        """Writes the lines below each other, as far as they fit."""
        top, scale = 0, max(0.5, min(image.shape[:2]) / 900)
        # OpenCV crashes on a file's name that is not UTF-8.
        text = caption.text.encode("utf-8", "backslashreplace").decode("utf-8")
        for line in text.splitlines():
            top += _write(image[top:], line, scale)


def _write(image: UInt8, text: str, scale: float) -> int:
    """Writes a line into the top left corner; returns how many rows it takes."""
    if not image.size:
        return 0
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(scale * 1.6))
    (width, height), below = cv2.getTextSize(text, font, scale, thickness)
    gap = max(3, height // 2)
    box = image[: height + below + 2 * gap, : width + 2 * gap]
    box[:] = box // 4
    origin, white = (gap, gap + height), (255, 255, 255)
    cv2.putText(image, text, origin, font, scale, white, thickness, cv2.LINE_AA)
    return len(box)


class ClassificationAnnotator:
    """Writes the likeliest classes, one below the other, into the top left corner."""

    def __init__(self, style: Style) -> None:
        self._captions, self._num_shown = CaptionAnnotator(style), style.num_classes

    def draw(self, image: UInt8, result: Classification, /) -> None:
        """Writes the classes and their probabilities, as far as they fit."""
        top = result.top(self._num_shown)
        text = "\n".join(f"{name} {100 * probability:.0f} %" for name, probability in top)
        self._captions.draw(image, Caption(text))
