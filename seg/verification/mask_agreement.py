"""How well the masks of two models agree on the same images, pixel by pixel."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from seg.errors import SpecMismatch
from seg.metrics import ConfusionMatrix
from seg.results import Mask, UInt8
from seg.verification.tolerances import TOLERANCES

NEIGHBORS = np.ones((3, 3), np.uint8)
FILE_NAMES = {"worst_image_disagreement": "flipped"}


@dataclasses.dataclass(frozen=True, slots=True)
class MaskAgreement:
    """How far a candidate's masks are from its reference's.

    Attributes:
        agreement: Share of all pixels with the same class, 0..1.
        worst_image_disagreement: Largest share of one image's pixels that have another class.
        miou: Mean over the classes of the IoU of their masks, all images together.
        mask_iou: Lowest IoU between the two masks of a class in an image that shows it.
        boundary_f: Lowest F score of a class's outlines in an image: how much of each lies within a
            pixel of the other. It sees a shift that large masks hide from the IoU.
    """

    agreement: float
    worst_image_disagreement: float
    miou: float
    mask_iou: float
    boundary_f: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers for metadata and JSON, by the names of the file format."""
        values = dataclasses.asdict(self)
        return {FILE_NAMES.get(name, name): value for name, value in values.items()}

    def __str__(self) -> str:
        return (
            f"{100 * self.agreement:.4f} % of the pixels agree, "
            f"{100 * self.worst_image_disagreement:.4f} % differ in the worst image, "
            f"mask mIoU {self.miou:.5f}, lowest mask IoU {self.mask_iou:.5f}, "
            f"lowest boundary F {self.boundary_f:.5f}"
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

    def expected(self, precision: str) -> str:
        """Describes what `passes` asks for."""
        return f"masks with at least {TOLERANCES[precision]}"


def compare_masks(pairs: Sequence[tuple[Mask, Mask]]) -> MaskAgreement:
    """Compares masks with masks.

    Args:
        pairs: For each image the reference's and the candidate's, of one size and classes.

    Raises:
        SpecMismatch: There is no image.
    """
    if not pairs:
        raise SpecMismatch("A comparison needs at least one image.")
    num_classes = len(pairs[0][0].classes)
    labels = [(one.labels, other.labels) for one, other in pairs]
    matrices = [_confusion(one, other, num_classes) for one, other in labels]
    total = ConfusionMatrix.of(np.sum([matrix.counts for matrix in matrices], axis=0))
    return MaskAgreement(
        agreement=total.pixel_accuracy,
        worst_image_disagreement=1 - min(matrix.pixel_accuracy for matrix in matrices),
        miou=total.miou,
        mask_iou=min(float(np.nanmin(matrix.iou)) for matrix in matrices),
        boundary_f=min(_lowest_boundary_f(one, other, num_classes) for one, other in labels),
    )


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
    """Returns the pixels of a mask that touch another class; the image's border is no edge."""
    return np.asarray(mask - cv2.erode(mask, NEIGHBORS), np.uint8)
