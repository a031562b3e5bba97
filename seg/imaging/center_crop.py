"""CenterCrop: the middle of an image, as classifiers of ImageNet are measured on.

The image is resized so that its shorter side, relative to the crop, is an eighth longer than the
crop, and the middle is cut out: 256 and 224 pixels for the usual square. Nothing is padded. What
shrinks is averaged by area, as antialiased as those classifiers' own resize.
"""

import dataclasses
from typing import Self

import cv2
import numpy as np

from seg.errors import ShapeError, SpecMismatch
from seg.imaging.letterbox import Size, check_image, check_size, resize, round_up, to_network
from seg.results import Float32, UInt8

RATIO = 224 / 256  # of the crop's side and the resized image's


@dataclasses.dataclass(frozen=True, slots=True)
class CenterCrop:
    """The way from an image to its middle, for one pair of sizes.

    Attributes:
        frame_hw: Size of the image.
        image_hw: Size of the resized image, from which the crop is cut.
        canvas_hw: Size of the crop, the network's input; `stride` divides both sides.
    """

    frame_hw: Size
    image_hw: Size
    canvas_hw: Size

    @classmethod
    def fit(
        cls, frame_hw: Size, input_hw: Size, stride: int, canvas_hw: Size | None = None
    ) -> Self:
        """Fits an image around `input_hw`, larger or smaller than it.

        Args:
            frame_hw: Size of the image, any from 1 x 1.
            input_hw: Size of the crop; it grows to what `stride` divides.
            stride: What divides the crop.
            canvas_hw: The crop of a static graph; None takes the smallest that covers `input_hw`.

        Raises:
            SpecMismatch: `input_hw` is not the static graph's, or a size is not positive, or too
                large once the image is resized: it is a strip.
        """
        if min(*frame_hw, *input_hw, stride) < 1:
            raise SpecMismatch(f"Sizes must be positive; got {frame_hw}, {input_hw}, {stride}.")
        check_size(input_hw)
        crop = round_up(input_hw, stride)
        if canvas_hw not in (None, crop):
            raise SpecMismatch(
                f"A crop of {crop[1]}x{crop[0]} is not this model's canvas of "
                f"{canvas_hw[1]}x{canvas_hw[0]}; omit --imgsz to use the model's own size."
            )
        scale = max(crop[0] / frame_hw[0], crop[1] / frame_hw[1]) / RATIO
        image_hw = round(frame_hw[0] * scale), round(frame_hw[1] * scale)
        check_size(image_hw)
        return cls(frame_hw, image_hw, crop)

    @property
    def offset(self) -> Size:
        """Row and column of the crop's first pixel in the resized image."""
        (height, width), (rows, columns) = self.image_hw, self.canvas_hw
        return (height - rows) // 2, (width - columns) // 2

    def pack(self, image: UInt8, pad_rgb: tuple[float, float, float]) -> Float32:
        """Cuts the middle out of an image.

        Args:
            image: uint8 `(H, W, 3)` BGR of size `frame_hw`.
            pad_rgb: Not used: nothing is padded.

        Returns:
            float32 `(1, 3, *canvas_hw)` RGB, 0..1, a new array.

        Raises:
            ShapeError: The image has another size, dtype or layout.
        """
        check_image(image)
        if image.shape[:2] != self.frame_hw:
            raise ShapeError(f"This crop is for {self.frame_hw}; got {image.shape[:2]}.")
        (top, left), (rows, columns) = self.offset, self.canvas_hw
        cut = _resize(image, self.image_hw)[top : top + rows, left : left + columns]
        return to_network([np.ascontiguousarray(cut)])


def _resize(image: UInt8, hw: Size) -> UInt8:
    if hw[0] >= image.shape[0] or hw[1] >= image.shape[1]:
        return resize(image, hw)
    return np.asarray(cv2.resize(image, (hw[1], hw[0]), interpolation=cv2.INTER_AREA), np.uint8)
