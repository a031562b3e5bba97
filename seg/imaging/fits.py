"""The ways to fit an image onto a network's canvas, by the name that a `ModelSpec` has for each."""

from typing import Protocol

from seg.imaging.center_crop import CenterCrop
from seg.imaging.letterbox import Letterbox, Size
from seg.results import Float32, UInt8


class Fit(Protocol):
    """The way from images of one size to a network's canvas."""

    @property
    def frame_hw(self) -> Size:
        """Size of the image."""

    @property
    def image_hw(self) -> Size:
        """Size of the resized image."""

    @property
    def canvas_hw(self) -> Size:
        """Size of the network's input."""

    @property
    def offset(self) -> Size:
        """Row and column of the canvas's first pixel in the resized image."""

    def pack(self, image: UInt8, pad_rgb: tuple[float, float, float], /) -> Float32:
        """uint8 `(H, W, 3)` BGR -> float32 `(1, 3, *canvas_hw)` RGB, 0..1, a new array."""


FITS: dict[str, type[Letterbox] | type[CenterCrop]] = {
    "letterbox": Letterbox,
    "center_crop": CenterCrop,
}
