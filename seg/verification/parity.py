"""Parity: how far the masks of two models agree on the same frames, pixel by pixel."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from seg.data.segmentation_folders import pictures
from seg.errors import ParityError, SpecMismatch
from seg.imaging.image_io import PHOTOS, photo, read_image
from seg.imaging.letterbox import hw_of
from seg.metrics import ConfusionMatrix
from seg.predictors.segmenter import Segmenter
from seg.predictors.tta import Look
from seg.results import Float32, UInt8
from seg.verification.tolerances import TOLERANCES

NEIGHBORS = np.ones((3, 3), np.uint8)
FILE_NAMES = {"worst_frame_disagreement": "flipped"}


@dataclasses.dataclass(frozen=True, slots=True)
class Parity:
    """How far a candidate is from its reference.

    Attributes:
        frames: Number of frames compared.
        agreement: Share of all pixels with the same class, 0..1.
        worst_frame_disagreement: Largest share of one frame's pixels that have another class.
        miou: Mean over the classes of the IoU of their masks, all frames together.
        mask_iou: Lowest IoU between the two masks of a class in a frame that shows it.
        boundary_f: Lowest F score of a class's outlines in a frame: how much of each lies within a
            pixel of the other. It sees a shift that large masks hide from the IoU.
        cosine: Lowest cosine between the two logit maps of a frame; None where masks were compared.
        max_difference: Largest absolute difference of a logit; None as `cosine`.
    """

    frames: int
    agreement: float
    worst_frame_disagreement: float
    miou: float
    mask_iou: float
    boundary_f: float
    cosine: float | None = None
    max_difference: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers, for metadata and JSON; names are those of the file format."""
        values = dataclasses.asdict(self)
        return {FILE_NAMES.get(name, name): value for name, value in values.items()}

    def __str__(self) -> str:
        text = (
            f"{self.frames} frames: {100 * self.agreement:.4f} % of the pixels agree, "
            f"{100 * self.worst_frame_disagreement:.4f} % differ in the worst frame, "
            f"mask mIoU {self.miou:.5f}, lowest mask IoU {self.mask_iou:.5f}, "
            f"lowest boundary F {self.boundary_f:.5f}"
        )
        if self.cosine is None:
            return text
        return (
            f"{text}, lowest logit cosine {self.cosine:.7f}, "
            f"largest logit difference {self.max_difference:.2g}"
        )

    def require(self, precision: str) -> Self:
        """Returns itself, or raises ParityError where the masks differ too much for `precision`."""
        if self.passes(precision):
            return self
        raise ParityError(
            f"The masks differ from the source's: {self}. Expected in {precision} at least "
            f"{TOLERANCES[precision]}."
        )

    def passes(self, precision: str) -> bool:
        """Tells whether the masks are as near as `precision` allows."""
        least = TOLERANCES[precision]
        return (
            self.agreement >= least.agreement
            and self.miou >= least.miou
            and self.mask_iou >= least.mask_iou
            and self.boundary_f >= least.boundary_f
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
    masks: list[tuple[UInt8, UInt8]] = []
    cosines: list[float] = []
    differences: list[float] = []
    for frame in frames:
        looks = reference.looks(frame), candidate.looks(frame)
        one, other = _logits(looks[0][0], looks[1][0])
        masks.append((reference.labels(looks[0]), candidate.labels(looks[1])))
        cosines.append(_cosine(one, other))
        differences.append(float(np.abs(one - other).max()))
    found = compare_masks(masks, len(reference.classes))
    return dataclasses.replace(found, cosine=min(cosines), max_difference=max(differences))


def compare_masks(masks: Sequence[tuple[UInt8, UInt8]], num_classes: int) -> Parity:
    """Compares labels alone, where there are no logits.

    Args:
        masks: For each frame, the source's labels and the candidate's, uint8 `(H, W)` both.
        num_classes: The background included.

    Raises:
        SpecMismatch: There is no frame.
    """
    if not masks:
        raise SpecMismatch("Parity needs at least one frame.")
    matrices = [_confusion(one, other, num_classes) for one, other in masks]
    total = ConfusionMatrix.of(np.sum([matrix.counts for matrix in matrices], axis=0))
    return Parity(
        frames=len(masks),
        agreement=total.pixel_accuracy,
        worst_frame_disagreement=1 - min(matrix.pixel_accuracy for matrix in matrices),
        miou=total.miou,
        mask_iou=min(float(np.nanmin(matrix.iou)) for matrix in matrices),
        boundary_f=min(_lowest_boundary_f(one, other, num_classes) for one, other in masks),
    )


def frames_of(source: Path | None) -> list[UInt8]:
    """Reads the images to compare on, of a file or a folder; None takes the free photos."""
    if source is None:
        return [photo(name) for name in PHOTOS]
    paths = pictures(source) if source.is_dir() else [source]
    return [read_image(path) for path in paths]


def compare_mask_graph(source: Segmenter, path: Path, frames: Iterable[UInt8]) -> Parity:
    """Compares masks on the canvas, where an ONNX graph from raw frames to masks has them.

    Args:
        source: Torch in float32, with the file's spec.
        path: Written with `outputs` `mask`.
        frames: uint8 `(H, W, 3)` BGR, at least one.
    """
    from seg.runtimes.ort import run_graph

    spec = source.runtime.spec
    whole = Segmenter(source.runtime, input_hw=spec.canvas_hw)
    masks: list[tuple[UInt8, UInt8]] = []
    for frame in frames:
        letterbox = source.letterbox(hw_of(frame))
        raw = letterbox.pack_bytes(frame, spec.pad_rgb)
        batch = np.stack([raw] * (spec.batch or 1))
        masks += [(whole(raw).labels, mask) for mask in run_graph(path, batch)]
    return compare_masks(masks, len(source.classes))


def _logits(one: Look, other: Look) -> tuple[Float32, Float32]:
    """Returns the score maps of two looks at a frame, which must be alike."""
    if one.letterbox != other.letterbox:
        raise SpecMismatch(
            f"The two fit frames differently: {one.letterbox} and {other.letterbox}."
        )
    if one.logits.shape != other.logits.shape:
        raise ParityError(f"Logits are {one.logits.shape} and {other.logits.shape}.")
    return one.logits, other.logits


def _confusion(one: UInt8, other: UInt8, num_classes: int) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes)
    matrix.update(one, other)
    return matrix


def _lowest_boundary_f(one: UInt8, other: UInt8, num_classes: int) -> float:
    found = [1.0]
    for label in range(1, num_classes):
        edges = [_outline((labels == label).view(np.uint8)) for labels in (one, other)]
        reach = [np.asarray(cv2.dilate(edge, NEIGHBORS), np.uint8) for edge in edges]
        lengths = [int(np.count_nonzero(edge)) for edge in edges]
        if any(lengths):
            # F = 2PR / (P + R) from the two shares, or 0 where they have nothing in common.
            hits = np.count_nonzero(edges[0] & reach[1]), np.count_nonzero(edges[1] & reach[0])
            precision, recall = (
                hit / max(1, all_) for hit, all_ in zip(hits, lengths, strict=True)
            )
            found.append(2 * precision * recall / max(precision + recall, 1e-12))
    return min(found)


def _outline(mask: UInt8) -> UInt8:
    """Returns the pixels of a mask that touch another class; the frame's border is no edge."""
    return np.asarray(mask - cv2.erode(mask, NEIGHBORS), np.uint8)


def _cosine(one: Float32, other: Float32) -> float:
    a, b = one.ravel().astype(np.float64), other.ravel().astype(np.float64)
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length else float(np.array_equal(a, b))
