"""Motion between two frames: flow, what it carries, what it cannot explain, and cuts.

Flow is float32 `(h, w, 2)`, x first: the pixel at `p` of `after` shows what `before` has at
`p + flow[p]`.
"""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.imaging.letterbox import Size, hw_of, resize
from seg.results import Float32, UInt8

Mapped = TypeVar("Mapped", UInt8, Float32)
Region = NDArray[np.bool_]

SMALLEST_SIDE = 16  # of an image that DIS takes: below it has no patch to match
MAX_RESIDUAL = 20.0  # gray levels between a pixel and where the flow says it comes from
CUT_SIDE = 32  # cuts are looked for at this size
CUT = 22.0  # mean difference of two frames there, in gray levels


def gray_of(image: UInt8, hw: Size) -> UInt8:
    """Returns an image in gray and another size: uint8 `(h, w)`."""
    return np.asarray(cv2.cvtColor(resize(image, hw), cv2.COLOR_BGR2GRAY), np.uint8)


class DisFlow:
    """Dense inverse search, OpenCV's; keeps buffers, so one for each thread.

    Args:
        is_fine: Slower, and closer to the edges of what moves.
    """

    def __init__(self, is_fine: bool = False) -> None:
        preset = (
            cv2.DISOPTICAL_FLOW_PRESET_MEDIUM if is_fine else cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST
        )
        self._dis = cv2.DISOpticalFlow.create(preset)

    def __call__(self, after: UInt8, before: UInt8) -> Float32:
        """Returns the flow of two gray images, uint8 `(h, w)`; zeros for tiny ones."""
        if min(after.shape) < SMALLEST_SIDE:
            return np.zeros((*after.shape, 2), np.float32)
        pair = np.ascontiguousarray(after), np.ascontiguousarray(before)  # which OpenCV demands
        return np.asarray(self._dis.calc(*pair, None), np.float32)  # type: ignore[call-overload]


def resize_flow(flow: Float32, hw: Size) -> Float32:
    """Returns the flow of the same frames at another size, lengths in its pixels."""
    scale = np.array([hw[1] / flow.shape[1], hw[0] / flow.shape[0]], np.float32)
    planes = [resize(np.ascontiguousarray(flow[..., axis]), hw) for axis in (0, 1)]
    return np.asarray(np.dstack(planes) * scale, np.float32)


def warp(before: Mapped, flow: Float32, is_nearest: bool = False) -> Mapped:
    """Carries an array of the frame before to where its pixels are now.

    Args:
        before: uint8 or float32 `(h, w)`.
        flow: Of the same size.
        is_nearest: Whether values are taken whole, as labels must be, not interpolated.

    Returns:
        A new array; beyond the border the border's values.
    """
    height, width = hw_of(flow)
    columns = flow[..., 0] + np.arange(width, dtype=np.float32)
    rows = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    how = cv2.INTER_NEAREST if is_nearest else cv2.INTER_LINEAR
    return cv2.remap(before, columns, rows, how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def is_explained(after: UInt8, before: UInt8, flow: Float32) -> Region:
    """Returns where the frame before, carried by the flow, looks like this one, `(h, w)`.

    Elsewhere something was uncovered, came in at the border, or moved as the flow does not say.
    """
    height, width = hw_of(flow)
    columns = flow[..., 0] + np.arange(width, dtype=np.float32)
    rows = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    is_inside = (columns > -0.5) & (columns < width - 0.5) & (rows > -0.5) & (rows < height - 0.5)
    residual = cv2.absdiff(after, warp(before, flow))
    return np.asarray(is_inside & (residual <= MAX_RESIDUAL))


def is_cut(after: UInt8, before: UInt8) -> bool:
    """Returns whether two gray images, uint8 `(h, w)`, show different scenes."""
    return mean_difference(after, before) > CUT


def mean_difference(after: UInt8, before: UInt8) -> float:
    """Returns how much two gray images differ, in levels, at a size that hides small motion."""
    small = [
        cv2.resize(image, (CUT_SIDE, CUT_SIDE), interpolation=cv2.INTER_AREA)
        for image in (after, before)
    ]
    return float(cv2.absdiff(*small).mean())
