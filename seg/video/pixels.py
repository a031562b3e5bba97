"""Decoded frames as images: upright, with square pixels, 8-bit BGR."""

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from seg.imaging.letterbox import Size
from seg.results import UInt8

SQUARE = 0.01  # pixels this close to square are left alone
ODDEST = 4  # the widest pixel in use is 2.4 times as wide as high; beyond, the number is damaged
ROTATIONS = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
    -90: cv2.ROTATE_90_CLOCKWISE,
}


class ImageConverter:
    """Converts frames to images; color matrix and range are those that the frame names.

    Args:
        pixel_aspect: Width of a pixel over its height; None for square ones.
    """

    def __init__(self, pixel_aspect: Fraction | None) -> None:
        self.pixel_aspect = pixel_aspect or Fraction(1)
        self._reformatter = VideoReformatter()

    def square_hw(self, coded_hw: Size) -> Size:
        """Returns the size at which pixels are square: the longer sides are kept, none shrinks."""
        height, width = coded_hw
        aspect = float(self.pixel_aspect)
        if abs(aspect - 1) <= SQUARE or not 1 / ODDEST <= aspect <= ODDEST:
            return coded_hw
        if aspect > 1:
            return height, 2 * round(width * aspect / 2)
        return 2 * round(height / aspect / 2), width

    def __call__(self, frame: av.VideoFrame) -> UInt8:
        """Returns uint8 `(H, W, 3)` BGR, a new array.

        Raises:
            av.FFmpegError: FFmpeg cannot convert the frame's format.
        """
        height, width = self.square_hw((frame.height, frame.width))
        converted = self._reformatter.reformat(
            frame, width, height, format="bgr24", interpolation=Interpolation.BICUBIC
        )
        image = np.ascontiguousarray(converted.to_ndarray(), np.uint8)
        turn = ROTATIONS.get(frame.rotation)
        return image if turn is None else np.asarray(cv2.rotate(image, turn), np.uint8)
