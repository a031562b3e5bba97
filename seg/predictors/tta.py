"""Test-time averaging: a frame predicted in windows, at several scales, and mirrored.

The official evaluation of DINOv2's `ms` heads: for each ratio of `RATIOS` the frame is enlarged,
windows slide over it by half their side, logits are averaged where windows overlap, and the
softmax of all predictions, each also mirrored, is averaged at the frame's size. The original
notebook's HEAD_SCALE_COUNT is the number of ratios taken: nothing of the training depends on it.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Letterbox, Size, round_up
from seg.predictors.decode import decode_maps, decode_margin
from seg.results import Float32, UInt8

RATIOS = (1.0, 1.32, 1.73, 2.28, 3.0)
MAX_WINDOWS = 4  # along the longer side at ratio 1, for frames that are mere strips


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """A network's scores for a frame, and the way back to it.

    Attributes:
        logits: float32 `(C, h, w)`, covering the letterbox's canvas.
        letterbox: Between the frame and that canvas.
        refine: Filters a score map of the fitted image's size; None leaves it.
        is_mirrored: Whether the network got the frame mirrored, left for right.
        labels: uint8 `(H, W)` of the frame where the engine's device made the mask too.
    """

    logits: Float32
    letterbox: Letterbox
    refine: Callable[[Float32], Float32] | None = None
    is_mirrored: bool = False
    labels: UInt8 | None = None

    def to_frame(self, scores: Float32) -> Float32:
        """Resizes a map `(h, w)` to the frame, `(H, W)`, and mirrors it back; a new array."""
        whole = self.letterbox.unpack(scores, self.refine)
        return whole[:, ::-1] if self.is_mirrored else whole


def scaled_letterbox(
    frame_hw: Size, input_hw: Size, window_hw: Size, stride: int, ratio: float
) -> Letterbox:
    """Returns the letterbox of a frame that covers `input_hw`, enlarged by `ratio`.

    For a square `input_hw` the frame's shorter side gets its length, as in the original. Strips
    are made no longer than four times `input_hw`.

    Args:
        frame_hw: Size of the frame.
        input_hw: The model's box, not necessarily divisible.
        window_hw: Size of a window; the canvas is at least as large.
        stride: What divides the canvas.
        ratio: From `RATIOS`.
    """
    scales = sorted((input_hw[0] / frame_hw[0], input_hw[1] / frame_hw[1]))
    scale = ratio * min(scales[1], MAX_WINDOWS * scales[0])
    box = max(1, round(frame_hw[0] * scale)), max(1, round(frame_hw[1] * scale))
    rows, columns = round_up(box, stride)
    return Letterbox(frame_hw, box, (max(rows, window_hw[0]), max(columns, window_hw[1])))


def slide(
    run: Callable[[Float32], Float32], pixels: Float32, window_hw: Size, stride: int
) -> Float32:
    """Runs a network in windows over a canvas, by half a window's side.

    Args:
        run: The network, `(1, 3, *window_hw)` -> logits `(C, h, w)`.
        pixels: `(1, 3, H, W)`; `stride` divides both sides and they are no smaller than a window.
        window_hw: Size of a window; `stride` divides it.
        stride: Windows start at multiples of it.

    Returns:
        Logits of the whole canvas, float32 `(C, h', w')` with cells of the windows' size, the mean
        where windows overlap.

    Raises:
        SpecMismatch: A cell of the logits is not a whole number of pixels that divides `stride`.
    """
    (height, width), total, count = window_hw, np.zeros(0, np.float32), np.zeros(0, np.float32)
    tops, lefts = (offsets(pixels.shape[2 + i], window_hw[i], stride) for i in (0, 1))
    for top in tops:
        for left in lefts:
            logits = run(pixels[:, :, top : top + height, left : left + width])
            (rows, columns), cell = logits.shape[1:], height // logits.shape[1]
            if (rows * cell, columns * cell) != window_hw or stride % cell:
                raise SpecMismatch(
                    f"Windows of {height}x{width} with {rows}x{columns} scores cannot be put "
                    "together; omit --tta."
                )
            if not total.size:
                count = np.zeros((pixels.shape[2] // cell, pixels.shape[3] // cell), np.float32)
                total = np.zeros((len(logits), *count.shape), np.float32)
            y, x = top // cell, left // cell
            total[:, y : y + rows, x : x + columns] += logits
            count[y : y + rows, x : x + columns] += 1
    return total / count


def offsets(length: int, window: int, stride: int) -> list[int]:
    """Returns where windows start: every half window, and one that ends with the canvas."""
    step = max(stride, window // 2 // stride * stride)
    return [*range(0, length - window, step), length - window]


def average_predictions(predictions: Sequence[Prediction]) -> UInt8:
    """Averages the probabilities of predictions and takes the likeliest class of each pixel.

    Predictions come in pairs, one of the frame as it is and one mirrored, and are added in pairs,
    so that the mask of a mirrored frame is exactly the mirrored mask. Ties go to the lower label.
    Memory grows with the number of predictions and not with the classes.

    Args:
        predictions: Of one frame, an even number.

    Returns:
        uint8 `(H, W)`, 0 to C - 1.
    """
    num_classes = len(predictions[0].logits)
    if num_classes == 2:
        # The sigmoid of a margin is (1 + tanh(margin / 2)) / 2: above a half where tanh is > 0.
        maps = [np.tanh(p.to_frame(p.logits[1] - p.logits[0]) / 2) for p in predictions]
        return decode_margin(_sum_of_pairs(maps))
    norms = [_log_sum_exp(prediction) for prediction in predictions]
    pairs = list(zip(predictions, norms, strict=True))
    return decode_maps(
        _sum_of_pairs([np.exp(p.to_frame(p.logits[label]) - norm) for p, norm in pairs])
        for label in range(num_classes)
    )


def _sum_of_pairs(maps: Sequence[Float32]) -> Float32:
    pairs = [one + other for one, other in zip(maps[::2], maps[1::2], strict=True)]
    return np.asarray(np.sum(pairs, axis=0), np.float32)


def _log_sum_exp(prediction: Prediction) -> Float32:
    total = prediction.to_frame(prediction.logits[0])
    for scores in prediction.logits[1:]:
        total = np.logaddexp(total, prediction.to_frame(scores))
    return total
