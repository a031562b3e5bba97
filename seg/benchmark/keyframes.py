"""What keyframes save and cost: time and IoU against the masks of every frame."""

import dataclasses
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.evaluation.report import markdown_table
from seg.metrics import ConfusionMatrix
from seg.predictors.keyframes import KeyframeSegmenter
from seg.predictors.segmenter import Segmenter
from seg.progress import track
from seg.video.sources import VideoFile


@dataclasses.dataclass(frozen=True, slots=True)
class Saving:
    """What was measured with one bound on staleness.

    Attributes:
        longest_s: The bound.
        reused_share: Share of the frames without a run of the network.
        iou: Of the carried and predicted masks to those of every frame; NaN where both find nobody.
        worst_iou: Of the worst reused frame in which the plain mask covers 1 % or more; NaN
            without any.
        every_ms: Mean time of a frame, image to mask, where the network runs on all.
        ms: The same with keyframes.
    """

    longest_s: float
    reused_share: float
    iou: float
    worst_iou: float
    every_ms: float
    ms: float

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers; None for what is not known."""
        numbers = dataclasses.asdict(self) | {"speed_ratio": self.every_ms / self.ms}
        return {key: None if np.isnan(number) else number for key, number in numbers.items()}


def compare(
    segmenter: Segmenter, clip: Path, bounds: Sequence[float], num_frames: int | None
) -> list[Saving]:
    """Runs a clip on every frame, and in the same pass with keyframes for each bound.

    Args:
        segmenter: Shared by all.
        clip: A video.
        bounds: Seconds after which the network runs in any case.
        num_frames: How many frames from its start; None takes all.
    """
    keyed = [KeyframeSegmenter(segmenter, bound) for bound in bounds]
    counts = [ConfusionMatrix(len(segmenter.classes)) for _ in bounds]
    worst = [float("nan")] * len(bounds)
    times = np.zeros(len(bounds) + 1)
    with VideoFile(clip) as source:
        for frame in track(itertools.islice(source, num_frames), clip.name, num_frames):
            start = time.perf_counter()
            plain = segmenter(frame.image)
            times[-1] += time.perf_counter() - start
            for index, one in enumerate(keyed):
                start = time.perf_counter()
                mask = one.predict_frame(frame)
                times[index] += time.perf_counter() - start
                counts[index].update(plain.labels, mask.labels)
                if mask.is_reused and (plain.labels > 0).mean() >= 0.01:
                    single = ConfusionMatrix(len(segmenter.classes))
                    single.update(plain.labels, mask.labels)
                    worst[index] = float(np.fmin(worst[index], single.foreground_iou))
    means = 1e3 * times / max(1, keyed[0].num_frames)
    return [
        Saving(bound, one.reused_share, matrix.foreground_iou, low, float(means[-1]), float(ms))
        for bound, one, matrix, low, ms in zip(
            bounds, keyed, counts, worst, means[:-1], strict=True
        )
    ]


def table(found: dict[str, list[Saving]]) -> list[str]:
    """Returns a Markdown table of all clips and bounds."""
    heads = ["clip", "every s", "reused", "IoU", "worst frame", "ms, every frame", "ms", "speed"]
    rows = []
    for clip, savings in found.items():
        for one in savings:
            low, iou = (
                "-" if np.isnan(number) else f"{number:.3f}" for number in (one.worst_iou, one.iou)
            )
            rows.append(
                [
                    clip, f"{one.longest_s:g}", f"{one.reused_share:.0%}", iou, low,
                    f"{one.every_ms:.1f}", f"{one.ms:.1f}", f"{one.every_ms / one.ms:.2f}",
                ]
            )  # fmt: skip
    return markdown_table(heads, rows)
