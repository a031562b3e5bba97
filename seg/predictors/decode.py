"""From scores to labels: the one place where a class wins a pixel.

Its twin in torch is `seg.models.decode`.
"""

from collections.abc import Callable, Iterable

import numpy as np

from seg.results import Float32, UInt8


def decode_logits(logits: Float32, to_frame: Callable[[Float32], Float32]) -> UInt8:
    """Enlarges score maps to the frame and takes the likeliest class of each pixel.

    Two classes need one map, their difference: a tenth of the cost of an argmax over both. More
    keep a running maximum, so only two maps exist at a time. Ties go to the lower label.

    Args:
        logits: float32 `(C, h, w)`.
        to_frame: Resizes a map `(h, w)` to `(H, W)` linearly, such as `Letterbox.unpack`; a new
            array.

    Returns:
        uint8 `(H, W)`, 0 to C - 1.
    """
    if len(logits) == 2:
        return decode_margin(to_frame(logits[1] - logits[0]))
    return decode_maps(map(to_frame, logits))


def decode_margin(margin: Float32) -> UInt8:
    """Returns 1 where the second of two classes scores more than the first: uint8 `(H, W)`."""
    return (margin > 0).view(np.uint8)


def decode_maps(maps: Iterable[Float32]) -> UInt8:
    """Returns the index of the largest map at each pixel, uint8 `(H, W)`.

    Args:
        maps: float32 `(H, W)`, one for each class, made one after the other; the first is
            overwritten.
    """
    remaining = iter(maps)
    best = next(remaining)
    labels = np.zeros(best.shape, np.uint8)
    for label, scores in enumerate(remaining, start=1):
        labels[scores > best] = label
        np.maximum(best, scores, out=best)
    return labels
