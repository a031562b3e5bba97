"""How much steadier masks get over time, what that costs, and how right they stay."""

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.data.samples import Sample
from seg.evaluation.report import markdown_table
from seg.imaging.letterbox import Letterbox, hw_of, resize_labels
from seg.imaging.motion import DisFlow, gray_of, is_cut, is_explained, warp
from seg.metrics import ConfusionMatrix
from seg.metrics.flicker import Flips, TemporalConsistency, VideoConsistency, is_static
from seg.predictors.segmenter import Segmenter
from seg.predictors.smoothing import METHODS, SteadySegmenter
from seg.progress import track
from seg.results import UInt8
from seg.video.base import Frame
from seg.video.sources import VideoFile

SIDE = 320  # masks of neighboring frames are compared at this size
PLAIN = "plain"
PAN_FRAMES, PAN_S = 24, 0.04
PAN_SHARE = 0.75  # of an image that a pan's window covers
NOISE = 4.0  # gray levels, a camera's at dusk


@dataclasses.dataclass
class Steadiness:
    """What was counted of a method on one clip.

    Attributes:
        name: The method.
        num_classes: Of the model.
    """

    name: str
    num_classes: int

    def __post_init__(self) -> None:
        self.flips, self.tc = Flips(), TemporalConsistency(self.num_classes)
        self.confusion = ConfusionMatrix(self.num_classes)
        self.vc = {n: VideoConsistency(n) for n in (8, 16)}
        self.times_ms: list[float] = []

    def to_dict(self) -> dict[str, Any]:
        """Returns plain numbers; None where there was nothing to count."""
        numbers = {
            "flips_per_static_pixel_and_s": self.flips.rate,
            "tc": self.tc.mean,
            "iou": self.confusion.foreground_iou,
            **{f"vc{n}": vc.mean for n, vc in self.vc.items()},
            "ms": float(np.median(self.times_ms)) if self.times_ms else float("nan"),
        }
        found = {key: None if np.isnan(number) else number for key, number in numbers.items()}
        return {"method": self.name, **found}


def compare_clip(segmenter: Segmenter, clip: Path, num_frames: int | None) -> list[Steadiness]:
    """Smooths a clip by every method; IoU is to the plain masks, for a clip has no labels.

    Args:
        segmenter: Predicts each frame once, for all methods.
        clip: A video.
        num_frames: How many frames from its start; None takes all.
    """
    with VideoFile(clip) as source:
        frames = track(itertools.islice(source, num_frames), clip.name, num_frames)
        return _compare(segmenter, ((frame, None) for frame in frames))


def compare_pans(segmenter: Segmenter, samples: Sequence[Sample]) -> list[Steadiness]:
    """Smooths pans over labeled images by every method; IoU and VC are to the labels."""
    return _compare(segmenter, (pair for sample in track(samples, "pans") for pair in pan(sample)))


def pan(sample: Sample) -> Iterator[tuple[Frame, UInt8]]:
    """Yields a clip made of a labeled image: a window moves over it, with a camera's noise.

    The first frame is marked as a discontinuity, so that pans may follow each other.
    """
    image, labels = sample.load()
    random = np.random.default_rng(0)
    height, width = (max(1, int(PAN_SHARE * side)) for side in hw_of(image))
    for index in range(PAN_FRAMES):
        share = index / (PAN_FRAMES - 1)
        top, left = round(share * (len(image) - height)), round(share * (image.shape[1] - width))
        window = slice(top, top + height), slice(left, left + width)
        noisy = image[window] + random.normal(0, NOISE, (height, width, 3))
        frame = noisy.clip(0, 255).astype(np.uint8)
        yield Frame(frame, index, index * PAN_S, discontinuity=not index), labels[window]


def _compare(
    segmenter: Segmenter, frames: Iterable[tuple[Frame, UInt8 | None]]
) -> list[Steadiness]:
    steady = {name: SteadySegmenter(segmenter, name) for name in METHODS}
    counted = {name: Steadiness(name, len(segmenter.classes)) for name in (PLAIN, *METHODS)}
    pairs = _Pairs()
    for frame, truth in frames:
        (prediction,) = segmenter.predict_logits(frame.image)
        masks = {}
        for name in counted:
            start = time.perf_counter()
            if name == PLAIN:
                masks[name] = segmenter.decode([prediction])
            else:
                masks[name] = steady[name].smooth(frame, prediction).labels
            counted[name].times_ms.append(1e3 * (time.perf_counter() - start))
        for name, labels in masks.items():
            counted[name].confusion.update(masks[PLAIN] if truth is None else truth, labels)
            for vc in counted[name].vc.values():
                if truth is None:
                    break
                if frame.discontinuity:
                    vc.reset()
                vc.add(truth, labels)
        pairs.add(frame, masks, counted)
    return list(counted.values())


class _Pairs:
    """Counts what changed between frames that follow each other."""

    def __init__(self) -> None:
        self._flow = DisFlow(is_fine=True)  # the method's own is another
        self._before: tuple[UInt8, float, dict[str, UInt8]] | None = None

    def add(self, frame: Frame, masks: dict[str, UInt8], counted: dict[str, Steadiness]) -> None:
        hw = Letterbox.fit(hw_of(frame.image), (SIDE, SIDE), 1).image_hw
        gray = gray_of(frame.image, hw)
        small = {name: resize_labels(labels, hw) for name, labels in masks.items()}
        last, self._before = self._before, (gray, frame.time_s, small)
        if last is None or frame.discontinuity or last[0].shape != hw or is_cut(gray, last[0]):
            return
        before, time_s, past = last
        static, flow = is_static(gray, before), self._flow(gray, before)
        known = is_explained(gray, before, flow)
        for name, labels in small.items():
            counted[name].flips.add(labels, past[name], static, frame.time_s - time_s)
            counted[name].tc.add(labels, warp(past[name], flow, is_nearest=True), known)


def table(found: dict[str, list[Steadiness]]) -> list[str]:
    """Returns a Markdown table of all clips and methods."""
    heads = ["clip", "method", "flips %/s", "TC", "IoU", "VC8", "VC16", "ms"]
    rows = [[clip, *cells(one.to_dict())] for clip, methods in found.items() for one in methods]
    return markdown_table(heads, rows)


def cells(numbers: dict[str, Any]) -> list[str]:
    """Returns a method's row of the table."""
    flips = numbers["flips_per_static_pixel_and_s"]
    rest = [numbers[key] for key in ("tc", "iou", "vc8", "vc16")]
    return [
        numbers["method"],
        "-" if flips is None else f"{100 * flips:.2f}",
        *("-" if number is None else f"{number:.3f}" for number in rest),
        f"{numbers['ms']:.1f}",
    ]
