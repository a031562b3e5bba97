"""How far an engine may be from its source in float32, for each precision: one table."""

import dataclasses
from collections.abc import Mapping

from seg.spec import EMBEDDING


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Tolerances:
    """What rounding in one precision may change, and no more.

    Attributes:
        score_error: Most that scores may be off, as `seg.verification.self_test` measures it: root
            mean square, in standard deviations of the source's scores.
        agreement: Least share of all pixels with the same class.
        miou: Least mean IoU of the masks, all frames together.
        mask_iou: Least IoU of a class's masks in one frame.
        boundary_f: Least F score of a class's outlines in one frame.
        feature_error: As `score_error`, of features: a deep map of many channels, most of them 0,
            with nothing behind it that averages.
        feature_cosine: Least cosine of an image's features.
        top1_ratio: Least ratio between the probabilities of two classes that may change places.
        probability_distance: Most that the probability of a class may be off.
    """

    score_error: float
    agreement: float
    miou: float
    mask_iou: float
    boundary_f: float
    feature_error: float
    feature_cosine: float
    top1_ratio: float
    probability_distance: float

    def largest_error(self, task: str) -> float:
        """Returns `score_error`, or what a task has in its place."""
        return self.feature_error if task == EMBEDDING else self.score_error

    def __str__(self) -> str:
        return (
            f"{100 * self.agreement:g} %, mIoU {self.miou}, IoU {self.mask_iou} and F "
            f"{self.boundary_f}"
        )


# Rounding changes scores near an edge, no more. In a frame whose mask is a handful of undecided
# pixels, 8 bits of a bfloat16 turn over some, and 256 steps for what flows between the layers many;
# int8 also moves outlines by a pixel or two where scores are flat. Both are held to all frames
# together, and in the worst frame only to what no rounding explains.
TOLERANCES: Mapping[str, Tolerances] = {
    "float32": Tolerances(
        score_error=1e-3,
        agreement=0.9999,
        miou=0.999,
        mask_iou=0.999,
        boundary_f=0.999,
        feature_error=1e-3,
        feature_cosine=0.99999,
        top1_ratio=0.999,
        probability_distance=1e-3,
    ),
    "float16": Tolerances(
        score_error=1e-2,
        agreement=0.999,
        miou=0.995,
        mask_iou=0.995,
        boundary_f=0.99,
        feature_error=2e-2,
        feature_cosine=0.999,
        top1_ratio=0.99,
        probability_distance=1e-2,
    ),
    "bfloat16": Tolerances(
        score_error=5e-2,
        agreement=0.995,
        miou=0.99,
        mask_iou=0.95,
        boundary_f=0.95,
        feature_error=0.1,
        feature_cosine=0.98,
        top1_ratio=0.9,
        probability_distance=5e-2,
    ),
    "int8": Tolerances(
        score_error=1e-1,
        agreement=0.995,
        miou=0.98,
        mask_iou=0.5,
        boundary_f=0.7,
        feature_error=0.1,
        feature_cosine=0.95,
        top1_ratio=0.8,
        probability_distance=0.1,
    ),
}
# Least share of the pixels that must keep their class where the padding is the mean color in whole
# gray levels: the networks see at most half a level more than the exact one.
ROUNDED_PADDING = 0.995
