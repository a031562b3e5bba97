"""Moments: what is remembered of a stream's frame to compare the next one with it."""

import dataclasses

import numpy as np

from seg.imaging.letterbox import Letterbox
from seg.imaging.motion import gray_of, is_cut
from seg.results import UInt8
from seg.video.base import Frame

FLOW_SIDE = 256  # frames are compared at this size
LONGEST_GAP_S = 1.0  # what was seen longer ago says nothing about now


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """A frame, small and gray, and when it was.

    Attributes:
        gray: uint8, the network's canvas; the padding is black.
        time_s: The frame's.
        letterbox: Between the frame and the canvas.
    """

    gray: UInt8
    time_s: float
    letterbox: Letterbox

    @classmethod
    def of(cls, frame: Frame, letterbox: Letterbox) -> "Moment":
        """Returns the moment of a frame."""
        return cls(_gray_canvas(frame.image, letterbox), frame.time_s, letterbox)

    def follows(self, frame: Frame, last: "Moment") -> bool:
        """Returns whether the last moment says something about this one, which is `frame`'s."""
        return (
            not frame.discontinuity
            and self.letterbox == last.letterbox
            and 0 <= self.time_s - last.time_s <= LONGEST_GAP_S
            and not is_cut(self.gray, last.gray)
        )


def _gray_canvas(image: UInt8, letterbox: Letterbox) -> UInt8:
    scale = min(1.0, FLOW_SIDE / max(letterbox.canvas_hw))
    (height, width), (rows, columns) = (
        [max(1, round(scale * side)) for side in hw]
        for hw in (letterbox.image_hw, letterbox.canvas_hw)
    )
    gray = np.zeros((rows, columns), np.uint8)
    gray[:height, :width] = gray_of(image, (height, width))
    return gray
