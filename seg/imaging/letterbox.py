"""Letterbox: how a frame gets onto the network's canvas, and how scores come back.

The only code that fits, pads or turns BGR into RGB, for training, evaluation and apps alike.

How exact the way there and back is depends on the network's cells, the canvas pixels for which it
has one score. A mask's edge comes back within 1.7 pixels of the canvas for cells of 1 to 14 pixels.
Where the frame was enlarged, edges and centroids come back within half a pixel of the frame for
cells of up to 4. Where it was shrunk, a pixel of the canvas is several of the frame: in a box of
640, edges of 1080p are off by up to 0.6 pixels with cells of 1 and 4.5 with cells of 14, those of
3000x4000 by up to 1, 2.5 and 9 with cells of 1, 4 and 14.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError, SpecMismatch
from seg.results import Float32, UInt8
from seg.spec import MAX_SIDE

Size = tuple[int, int]
MAX_PIXELS = 2**26  # of a canvas: 0.8 GB as float32
Array = TypeVar("Array", UInt8, Float32)


def hw_of(array: NDArray[Any]) -> Size:
    """Returns the height and width of an image, a mask or a map, `(H, W, ...)`."""
    return array.shape[0], array.shape[1]


def round_up(hw: Size, stride: int) -> Size:
    """Returns the smallest size that covers `hw` and whose sides `stride` divides."""
    return -(-hw[0] // stride) * stride, -(-hw[1] // stride) * stride


def resize(array: Array, hw: Size) -> Array:
    """Resizes `(H, W)` or `(H, W, 3)` to `hw` with half-pixel centers.

    Bilinear down to half the size, area below it: there bilinear skips pixels, and area costs more.
    """
    if array.shape[:2] == hw:
        return array
    method = _method(hw_of(array), hw)
    return cv2.resize(array, (hw[1], hw[0]), interpolation=method)  # type: ignore[return-value]


def resize_matrices(before: Size, after: Size) -> tuple[Float32, Float32]:
    """Returns what `resize` is: the matrices of `rows @ array @ columns`.

    For engines that resize on a GPU: they take the very weights that the processor takes, where
    a GPU library's own resize has others.

    Args:
        before: Size `(H, W)` of the array.
        after: Size `(h, w)` that it gets.

    Returns:
        float32 `(h, H)` and `(W, w)`.
    """
    rows, columns = (np.eye(side, dtype=np.float32) for side in before)
    method = _method(before, after)
    return (
        np.asarray(cv2.resize(rows, (before[0], after[0]), interpolation=method), np.float32),
        np.asarray(cv2.resize(columns, (after[1], before[1]), interpolation=method), np.float32),
    )


def _method(before: Size, after: Size) -> int:
    shrinks = 2 * after[0] < before[0] or 2 * after[1] < before[1]
    # Where one side grows, OpenCV's area is neither area nor centered.
    grows = after[0] > before[0] or after[1] > before[1]
    return cv2.INTER_AREA if shrinks and not grows else cv2.INTER_LINEAR


def to_network(images: Sequence[UInt8]) -> Float32:
    """Turns images of one size into a network's input.

    Args:
        images: Each uint8 `(H, W, 3)` BGR.

    Returns:
        float32 `(B, 3, H, W)` RGB, 0..1, a new array.
    """
    blob = cv2.dnn.blobFromImages(list(images), scalefactor=1 / 255, swapRB=True)
    return np.asarray(blob, np.float32)


def check_image(image: UInt8) -> None:
    """Raises ShapeError unless `image` is a non-empty uint8 `(H, W, 3)`."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3:
        got = getattr(image, "dtype", type(image).__name__), getattr(image, "shape", "")
        raise ShapeError(f"An image is uint8 (H, W, 3) BGR; got {got[0]} {got[1]}.")
    if image.shape[2] != 3 or image.size == 0:
        raise ShapeError(f"An image is uint8 (H, W, 3) BGR, not empty; got {image.shape}.")


def check_size(hw: Size) -> None:
    """Raises SpecMismatch where a size to fit images into is beyond what memory holds."""
    if max(hw) > MAX_SIDE or hw[0] * hw[1] > MAX_PIXELS:
        raise SpecMismatch(
            f"A size of {hw[1]}x{hw[0]} is too large; expected sides of at most {MAX_SIDE} and "
            f"{MAX_PIXELS // 2**20} million pixels in all."
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Letterbox:
    """The way from a frame to the canvas and back, for one pair of sizes.

    The frame is resized with its aspect kept, put into the top left corner, and padded right and
    bottom only, so that the way back is a slice.

    Attributes:
        frame_hw: Size of the frame.
        image_hw: Size of the resized frame on the canvas.
        canvas_hw: Size of the network's input; `stride` divides both sides.
    """

    frame_hw: Size
    image_hw: Size
    canvas_hw: Size

    @classmethod
    def fit(
        cls, frame_hw: Size, input_hw: Size, stride: int, canvas_hw: Size | None = None
    ) -> Self:
        """Fits a frame into `input_hw`, larger or smaller than it.

        Args:
            frame_hw: Size of the frame, any from 1 x 1.
            input_hw: The box to fit into, not necessarily divisible.
            stride: What divides the canvas.
            canvas_hw: The canvas of a static graph; None takes the smallest that covers.

        Raises:
            SpecMismatch: `input_hw` is larger than the canvas, or a size is not positive.
        """
        if min(*frame_hw, *input_hw, stride) < 1:
            raise SpecMismatch(f"Sizes must be positive; got {frame_hw}, {input_hw}, {stride}.")
        check_size(input_hw)
        scale = min(input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1])
        image_hw = max(1, round(frame_hw[0] * scale)), max(1, round(frame_hw[1] * scale))
        canvas = canvas_hw or round_up(image_hw, stride)
        if image_hw[0] > canvas[0] or image_hw[1] > canvas[1]:
            raise SpecMismatch(
                f"An image of {image_hw[1]}x{image_hw[0]} does not fit on this model's canvas of "
                f"{canvas[1]}x{canvas[0]}; omit --imgsz to use the model's own size."
            )
        return cls(frame_hw, image_hw, canvas)

    @property
    def offset(self) -> Size:
        """Row and column of the canvas's first pixel in the resized frame: the first of both."""
        return 0, 0

    def pack(self, image: UInt8, pad_rgb: tuple[float, float, float]) -> Float32:
        """Puts a frame onto the canvas.

        Args:
            image: uint8 `(H, W, 3)` BGR of size `frame_hw`.
            pad_rgb: Color of the padding, RGB 0..1.

        Returns:
            float32 `(1, 3, *canvas_hw)` RGB, 0..1, a new array.

        Raises:
            ShapeError: The image has another size, dtype or layout.
        """
        height, width = self.image_hw
        # Padded as bytes, then colored exactly: a third of the time of a second float canvas.
        pixels = to_network([self.pack_bytes(image, pad_rgb)])
        color = np.asarray(pad_rgb, np.float32)[:, None, None]
        pixels[:, :, height:] = color
        pixels[:, :, :height, width:] = color
        return pixels

    def pack_bytes(self, image: UInt8, pad_rgb: tuple[float, float, float]) -> UInt8:
        """Puts a frame onto the canvas as bytes, uint8 `(*canvas_hw, 3)` BGR, as `pack` does.

        The padding is `pad_rgb` rounded to bytes. The array may be `image` itself.
        """
        check_image(image)
        if image.shape[:2] != self.frame_hw:
            raise ShapeError(f"This letterbox is for {self.frame_hw}; got {image.shape[:2]}.")
        fitted = resize(image, self.image_hw)
        space = (0, self.canvas_hw[0] - fitted.shape[0], 0, self.canvas_hw[1] - fitted.shape[1])
        if not any(space):
            return fitted
        bgr = [round(255 * part) for part in reversed(pad_rgb)]
        padded = cv2.copyMakeBorder(fitted, *space, cv2.BORDER_CONSTANT, value=bgr)
        return np.asarray(padded, np.uint8)

    def pack_labels(self, labels: UInt8) -> UInt8:
        """Puts a label map onto the canvas, nearest pixel, 255 (ignore) on the padding.

        Args:
            labels: uint8 `(H, W)` of size `frame_hw`, or planes `(H, W, N)`.

        Returns:
            uint8 of size `canvas_hw`, a new array.
        """
        canvas = np.full((*self.canvas_hw, *labels.shape[2:]), 255, np.uint8)
        fitted = resize_labels(labels, self.image_hw)
        canvas[: self.image_hw[0], : self.image_hw[1]] = fitted
        return canvas

    def unpack(
        self, scores: Float32, refine: Callable[[Float32], Float32] | None = None
    ) -> Float32:
        """Carries a score map from the network's grid back onto the frame.

        Enlarges to the canvas, cuts the padding away, resizes to the frame. Scores are
        interpolated, never labels, so mask edges stay smooth.

        Args:
            scores: float32 `(h, w)`, covering the canvas; any range, higher is likelier.
            refine: Filters the map of the fitted image, float32 of size `image_hw`.

        Returns:
            float32 `(H, W)` of size `frame_hw`, a new array.

        Raises:
            ShapeError: `scores` is not a float32 map.
        """
        if scores.ndim != 2 or scores.dtype != np.float32:
            raise ShapeError(f"Scores are float32 (h, w); got {scores.dtype} {scores.shape}.")
        on_canvas = resize(scores, self.canvas_hw)
        cut = on_canvas[: self.image_hw[0], : self.image_hw[1]]
        on_frame = resize(refine(cut) if refine else cut, self.frame_hw)
        return on_frame.copy() if np.shares_memory(on_frame, scores) else on_frame


def resize_labels(labels: UInt8, hw: Size) -> UInt8:
    """Resizes labels `(H, W)`, or planes, to `hw` by the nearest pixel, half-pixel centers kept."""
    if labels.shape[:2] == hw:
        return labels
    nearest = cv2.resize(labels, (hw[1], hw[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(nearest, np.uint8)
