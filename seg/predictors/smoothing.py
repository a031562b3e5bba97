"""Steady masks: scores of a video smoothed over time, without training.

`Segmenter` keeps nothing of the frames it has seen. What a stream needs is kept here, one
`SteadySegmenter` for each. Scores are smoothed on the network's small grid, never labels, and the
smoothed ones are enlarged to the frame as always.
"""

import dataclasses
from abc import ABC, abstractmethod

import numpy as np

from seg.errors import SpecMismatch
from seg.imaging.letterbox import Size, resize
from seg.imaging.motion import DisFlow, Region, is_explained, resize_flow, warp
from seg.predictors.moments import Moment
from seg.predictors.segmenter import Segmenter
from seg.predictors.tta import Prediction
from seg.results import Float32, Mask, UInt8
from seg.spec import SEGMENTATION
from seg.video.base import Frame

KEPT = 0.75  # share of the past where nothing disagrees, per `STEP_S`
STEP_S = 0.04
MARGIN = 1.0  # in log odds, by which a class must lead to take a cell from another


class Smoother(ABC):
    """Smooths the scores of one stream.

    Attributes:
        needs_motion: Whether it uses the gray images.
    """

    needs_motion = False

    def __init__(self) -> None:
        self._past: Float32 | None = None

    def reset(self) -> None:
        """Forgets the frames before."""
        self._past = None

    def __call__(self, scores: Float32, gray: tuple[UInt8, UInt8], gap_s: float) -> Float32:
        """Returns the smoothed scores of a frame; the first after a reset comes back as it is.

        Args:
            scores: float32 `(C, h, w)`, logits.
            gray: This frame and the one before, uint8 of one size.
            gap_s: Seconds between the two.
        """
        now = scores - scores.max(0)  # what all classes have in common decides nothing
        made = now if self._past is None else self._smooth(now, self._past, gray, gap_s)
        self._past = made
        return made

    @abstractmethod
    def _smooth(
        self, now: Float32, past: Float32, gray: tuple[UInt8, UInt8], gap_s: float
    ) -> Float32:
        """Returns a new array of scores from those of this frame and the last result."""


class Exponential(Smoother):
    """Averages with the past, the less the more the two disagree: what moves does not lag."""

    def _smooth(
        self, now: Float32, past: Float32, gray: tuple[UInt8, UInt8], gap_s: float
    ) -> Float32:
        return blend(now, past, gap_s)


class Hysteresis(Smoother):
    """Two thresholds: a class keeps its cell until another leads by `MARGIN`."""

    def _smooth(
        self, now: Float32, past: Float32, gray: tuple[UInt8, UInt8], gap_s: float
    ) -> Float32:
        held = np.argmax(past, 0)[None]
        made = now.copy()
        np.put_along_axis(made, held, np.take_along_axis(made, held, 0) + np.float32(MARGIN), 0)
        return made


class FlowGuided(Smoother):
    """Averages with the past carried along the flow, where the flow explains the frame."""

    needs_motion = True

    def __init__(self) -> None:
        super().__init__()
        self._flow = DisFlow()

    def _smooth(
        self, now: Float32, past: Float32, gray: tuple[UInt8, UInt8], gap_s: float
    ) -> Float32:
        flow = self._flow(*gray)
        grid_hw = now.shape[1], now.shape[2]
        known = resize_mask(is_explained(*gray, flow), grid_hw)
        on_grid = resize_flow(flow, grid_hw)
        carried = np.stack([warp(plane, on_grid) for plane in past])
        return blend(now, carried, gap_s, known)


METHODS: dict[str, type[Smoother]] = {
    "exponential": Exponential,
    "hysteresis": Hysteresis,
    "flow": FlowGuided,
}


def blend(now: Float32, past: Float32, gap_s: float, known: Float32 | None = None) -> Float32:
    """Averages scores with those of the past, by a weight that falls with disagreement.

    Args:
        now: float32 `(C, h, w)`, logits.
        past: Of the same shape.
        gap_s: Seconds between the two: at any rate of frames the past fades as fast.
        known: `(h, w)`, 0 where the past says nothing; None: nowhere.
    """
    agreement = 1 - np.abs(probabilities(now) - probabilities(past)).max(0)
    weight = np.float32(KEPT ** (gap_s / STEP_S)) * agreement**2
    if known is not None:
        weight *= known
    return np.asarray(now + weight * (past - now), np.float32)


def probabilities(logits: Float32) -> Float32:
    """Returns the softmax over classes of `(C, h, w)`."""
    powers = np.exp(logits - logits.max(0))
    return np.asarray(powers / powers.sum(0), np.float32)


def resize_mask(mask: Region, hw: Size) -> Float32:
    """Returns 1 where all that a cell covers is true, else 0: float32 of size `hw`."""
    return np.asarray(resize(mask.astype(np.float32), hw) > 0.99, np.float32)


class SteadySegmenter:
    """Segments the frames of one stream, in their order, and smooths over time.

    Smoothing starts anew at cuts, at a `Frame.discontinuity`, after a gap and at another size.

    Args:
        segmenter: Any; shared, and the caller's to close.
        method: A key of `METHODS`.

    Attributes:
        task: The name of its results.

    Raises:
        SpecMismatch: There is no such method, or the segmenter averages scales.
    """

    task = SEGMENTATION

    def __init__(self, segmenter: Segmenter, method: str) -> None:
        if method not in METHODS:
            raise SpecMismatch(f"No method '{method}'; expected one of {', '.join(METHODS)}.")
        if segmenter.tta:
            raise SpecMismatch("--steady smooths one prediction a frame; leave --tta out.")
        self.method = method
        self._segmenter, self._smoother = segmenter, METHODS[method]()
        self._last: Moment | None = None

    @property
    def description(self) -> str:
        """As of `Segmenter`, with the method."""
        return f"{self._segmenter.description}; steadied by {self.method}"

    def predict_frame(self, frame: Frame) -> Mask:
        """Segments the stream's next frame; raises as `Segmenter` does."""
        (prediction,) = self._segmenter.predict_logits(frame.image)
        return self.smooth(frame, prediction)

    def smooth(self, frame: Frame, prediction: Prediction) -> Mask:
        """Smooths what the segmenter has predicted for the stream's next frame."""
        now, last = Moment.of(frame, prediction.letterbox), self._last
        self._last = now
        if last is None or not now.follows(frame, last):
            self._smoother.reset()
            last = now
        scores = self._smoother(prediction.logits, (now.gray, last.gray), now.time_s - last.time_s)
        smoothed = dataclasses.replace(prediction, logits=scores, labels=None)
        return Mask(self._segmenter.decode([smoothed]), self._segmenter.classes)
