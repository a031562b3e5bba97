"""Overlay: the results of a frame drawn over it, each by the annotator of its type."""

from collections.abc import Callable

import numpy as np

from seg.errors import ShapeError
from seg.imaging.annotators import (
    Annotator,
    Caption,
    CaptionAnnotator,
    ClassificationAnnotator,
    MaskAnnotator,
    PatchAnnotator,
    Style,
)
from seg.imaging.letterbox import check_image
from seg.results import Classification, Mask, PatchColors, UInt8

# A new task adds the line of its result.
ANNOTATORS: dict[type, Callable[[Style], Annotator]] = {
    Mask: MaskAnnotator,
    Caption: CaptionAnnotator,
    PatchColors: PatchAnnotator,
    Classification: ClassificationAnnotator,
}


class Overlay:
    """Draws results over images; one for each thread, since annotators keep buffers.

    Args:
        style: How they are drawn.
    """

    def __init__(self, style: Style | None = None) -> None:
        self.style = style or Style()
        self._annotators: dict[type, Annotator] = {}

    def draw(self, image: UInt8, *results: object, out: UInt8 | None = None) -> UInt8:
        """Draws results over an image, the last one on top.

        Args:
            image: uint8 `(H, W, 3)` BGR; never changed.
            results: Such as a `Mask` of the same size, or a `Caption`.
            out: Where to draw, uint8 `(H, W, 3)`, no memory shared with `image`; None makes it.

        Returns:
            uint8 `(H, W, 3)` BGR: `out`, or a new array.

        Raises:
            ShapeError: Sizes differ, an array has another dtype or layout, or no annotator draws
                such a result.
        """
        check_image(image)
        drawn = _copy(image, out)
        for result in results:
            self._annotator(type(result)).draw(drawn, result)
        return drawn

    @staticmethod
    def draws(result: object) -> bool:
        """Tells whether results of this type can be drawn."""
        return type(result) in ANNOTATORS

    def _annotator(self, kind: type) -> Annotator:
        if kind not in self._annotators:
            if kind not in ANNOTATORS:
                known = ", ".join(known.__name__ for known in ANNOTATORS)
                raise ShapeError(f"Nothing draws a {kind.__name__}; expected one of {known}.")
            self._annotators[kind] = ANNOTATORS[kind](self.style)
        return self._annotators[kind]


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
