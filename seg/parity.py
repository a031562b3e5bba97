"""Parity: do two runtimes draw the same masks? Compared on frames, to the pixel."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from seg.data.folders import pictures
from seg.data.reading import read_image
from seg.errors import ParityError, SpecMismatch
from seg.pictures import PHOTOS, photo
from seg.results import Float32, UInt8
from seg.segmenter import Segmenter, labels_of

# The share of pixels whose class must agree; a precision changes scores near an edge, no more.
AGREEMENT = {"float32": 0.9999, "float16": 0.999, "bfloat16": 0.995}
MASK_IOU = {"float32": 0.999, "float16": 0.995, "bfloat16": 0.98}


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """How far a candidate is from its reference.

    Attributes:
        frames: Number of frames compared.
        agreement: Share of all pixels with the same class, 0..1.
        mask_iou: Lowest IoU between the two masks of a class in a frame; 1 where both are empty.
        cosine: Lowest cosine between the two logit maps of a frame.
        max_difference: Largest absolute difference of a logit.
    """

    frames: int
    agreement: float
    mask_iou: float
    cosine: float
    max_difference: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, for metadata and JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.frames} frames: {100 * self.agreement:.4f} % of the pixels agree, "
            f"lowest mask IoU {self.mask_iou:.5f}, lowest logit cosine {self.cosine:.7f}, "
            f"largest logit difference {self.max_difference:.2g}"
        )

    def require(self, precision: str) -> Self:
        """Returns itself, or raises ParityError where the masks differ too much for `precision`."""
        if self.agreement >= AGREEMENT[precision] and self.mask_iou >= MASK_IOU[precision]:
            return self
        raise ParityError(
            f"The masks differ from the source's: {self}. Expected at least "
            f"{100 * AGREEMENT[precision]} % and {MASK_IOU[precision]} in {precision}."
        )


def compare(reference: Segmenter, candidate: Segmenter, frames: Iterable[UInt8]) -> Parity:
    """Runs two segmenters on the same frames.

    Args:
        reference: The source, torch in float32.
        candidate: What was made from it; must fit frames onto the same canvas.
        frames: uint8 `(H, W, 3)` BGR, at least one.

    Raises:
        SpecMismatch: There is no frame, or the canvases differ.
        ParityError: The logit maps have different shapes.
    """
    pairs = [_compare_frame(reference, candidate, frame) for frame in frames]
    if not pairs:
        raise SpecMismatch("Parity needs at least one frame.")
    agreement, iou, cosine, difference = np.array(pairs).T
    return Parity(
        len(pairs),
        float(agreement.mean()),
        float(iou.min()),
        float(cosine.min()),
        float(difference.max()),
    )


def frames_of(source: Path | None) -> list[UInt8]:
    """Reads the pictures to compare on, of a file or a folder; None takes the free photos."""
    if source is None:
        return [photo(name) for name in PHOTOS]
    paths = pictures(source) if source.is_dir() else [source]
    return [read_image(path) for path in paths]


def _compare_frame(
    reference: Segmenter, candidate: Segmenter, frame: UInt8
) -> tuple[float, float, float, float]:
    frame_hw = (frame.shape[0], frame.shape[1])
    boxes = reference.letterbox(frame_hw), candidate.letterbox(frame_hw)
    if boxes[0] != boxes[1]:
        raise SpecMismatch(f"The two fit frames differently: {boxes[0]} and {boxes[1]}.")
    logits = [
        model.logits(box.pack(frame, model.runtime.spec.pad_rgb))
        for model, box in zip((reference, candidate), boxes, strict=True)
    ]
    if logits[0].shape != logits[1].shape:
        raise ParityError(f"Logits are {logits[0].shape} and {logits[1].shape}.")
    labels = [labels_of(scores, boxes[0]) for scores in logits]
    return (
        float((labels[0] == labels[1]).mean()),
        _lowest_iou(labels[0], labels[1], len(logits[0])),
        _cosine(logits[0], logits[1]),
        float(np.abs(logits[0] - logits[1]).max()),
    )


def _lowest_iou(one: UInt8, other: UInt8, num_classes: int) -> float:
    found = [1.0]
    for label in range(num_classes):
        either = np.count_nonzero((one == label) | (other == label))
        both = np.count_nonzero((one == label) & (other == label))
        found.append(both / either if either else 1.0)
    return min(found)


def _cosine(one: Float32, other: Float32) -> float:
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else float(np.array_equal(a, b))
