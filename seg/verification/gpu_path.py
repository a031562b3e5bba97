"""Whether a GPU's own pre- and post-processing does what the CPU's does."""

import dataclasses
from collections.abc import Callable

import numpy as np

from seg.errors import ParityError
from seg.imaging.letterbox import Size
from seg.predictors.decode import decode_logits
from seg.predictors.segmenter import Segmenter
from seg.results import UInt8

# Between weights in floating point and OpenCV's in fixed point: some pixels of the canvas round to
# the next gray level, and labels change where the two best scores are nearly equal.
MAX_LEVELS = 1.01
MEAN_LEVELS = 0.2  # rounding down in place of to the nearest is 0.26 and more
MAX_DISAGREEMENT = 1e-3


@dataclasses.dataclass(frozen=True, slots=True)
class GpuPathCheck:
    """How far a GPU's way from image to mask is from the CPU's.

    Attributes:
        max_levels: Largest difference of a pixel on the canvas, in gray levels.
        mean_levels: Mean difference, without the padding.
        disagreement: Share of the pixels of which the same scores make another label.
    """

    max_levels: float
    mean_levels: float
    disagreement: float

    def __str__(self) -> str:
        return (
            f"on the GPU the canvas is off by {self.mean_levels:.2g} gray levels, at most "
            f"{self.max_levels:.2g}, and {100 * self.disagreement:.2g} % of the labels differ"
        )


def check_gpu_path(segmenter: Segmenter, image_of: Callable[[Size], UInt8]) -> GpuPathCheck | None:
    """Carries an image to the canvas, and scores back, on both ways.

    The image has another size and aspect than the canvas, so that it is resized and padded. The
    scores are the network's, shifted so that no class is rarer than another: labels of one class
    alone would agree whatever the way back does.

    Args:
        segmenter: Its engine may offer the way.
        image_of: Makes the image of a size.

    Returns:
        What was found; None where the engine offers no such way.

    Raises:
        ParityError: The two differ by more than rounding.
    """
    height, width = segmenter.input_hw
    gpu = segmenter.gpu
    if gpu is None:
        return None
    image = image_of((height * 3 // 2 + 1, width))
    expected, letterbox = segmenter.pack(image)
    canvas = gpu.pack(gpu.upload(image), letterbox)
    levels = 255 * np.abs(canvas.cpu().numpy() - expected)
    rows, columns = letterbox.image_hw
    scores = gpu.run(canvas)
    balanced = scores - scores.flatten(2).median(2).values[..., None, None]
    logits, labels = gpu.download(balanced, gpu.decode(balanced, letterbox))
    found = GpuPathCheck(
        max_levels=float(levels.max()),
        mean_levels=float(levels[:, :, :rows, :columns].mean()),
        disagreement=float(np.mean(labels != decode_logits(logits, letterbox.unpack))),
    )
    if not (
        found.max_levels <= MAX_LEVELS
        and found.mean_levels <= MEAN_LEVELS
        and found.disagreement <= MAX_DISAGREEMENT
    ):
        raise ParityError(
            f"Masks made on the GPU differ from the CPU's: {found}; expected at most "
            f"{MAX_LEVELS:g} and {MEAN_LEVELS:g} gray levels, and {100 * MAX_DISAGREEMENT:g} % of "
            "the labels. "
            f"It is {segmenter.runtime.description}; choose --device cpu."
        )
    return found
