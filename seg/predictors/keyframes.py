"""Keyframes: the network runs where the image has changed; between, its scores go with the flow."""

import dataclasses

import numpy as np

from seg.errors import SpecMismatch
from seg.imaging.letterbox import hw_of, resize
from seg.imaging.motion import DisFlow, Region, is_explained, resize_flow, warp
from seg.predictors.moments import Moment
from seg.predictors.segmenter import Segmenter
from seg.predictors.tta import Prediction
from seg.results import Float32, Mask
from seg.spec import SEGMENTATION
from seg.video.base import Frame

BLOCK = 16  # pixels of the small frame, the side of a block that is looked at by itself
ROUNDING_S = 1e-6  # of times
MAX_CHANGED = 0.3  # share of a block that the flow may leave unexplained


class KeyframeSegmenter:
    """Segments the frames of one stream, in their order, and does not run the network on all.

    It runs at the first frame, after `longest_s`, at cuts, gaps and a `Frame.discontinuity`, and
    where some block of the image is not what the last predicted frame shows, moved by the flow.

    Args:
        segmenter: Any; shared, and the caller's to close.
        longest_s: Seconds after which the network runs in any case.

    Attributes:
        task: The name of its results.
        num_frames: How many frames came.
        num_reused: How many of them the network did not run on.

    Raises:
        SpecMismatch: The segmenter averages scales.
    """

    task = SEGMENTATION

    def __init__(self, segmenter: Segmenter, longest_s: float) -> None:
        if segmenter.tta or segmenter.guided:
            raise SpecMismatch("--keyframes carries plain scores; leave --tta and --guided out.")
        self.longest_s, self.num_frames, self.num_reused = longest_s, 0, 0
        self._segmenter, self._flow = segmenter, DisFlow()
        self._key: tuple[Moment, Prediction] | None = None
        self._last: Moment | None = None

    @property
    def description(self) -> str:
        """As of `Segmenter`, with what is left out."""
        return f"{self._segmenter.description}; keyframes at most {self.longest_s:g} s apart"

    @property
    def reused_share(self) -> float:
        """Share of the frames that the network did not run on."""
        return self.num_reused / max(1, self.num_frames)

    def predict_frame(self, frame: Frame) -> Mask:
        """Segments the stream's next frame; raises as `Segmenter` does."""
        self.num_frames += 1
        now = Moment.of(frame, self._segmenter.letterbox(hw_of(frame.image)))
        last, self._last = self._last, now
        flow = None
        if last is not None and now.follows(frame, last):
            flow = self._flow_from_key(now)
        if flow is None or self._key is None:
            (prediction,) = self._segmenter.predict_logits(frame.image)
            self._key = now, prediction
            return Mask(self._segmenter.decode([prediction]), self._segmenter.classes)
        self.num_reused += 1
        prediction = self._key[1]
        on_grid = resize_flow(flow, (prediction.logits.shape[1], prediction.logits.shape[2]))
        scores = np.stack([warp(plane, on_grid) for plane in prediction.logits])
        carried = dataclasses.replace(prediction, logits=scores, labels=None)
        labels = self._segmenter.decode([carried])
        return Mask(labels, self._segmenter.classes, is_reused=True)

    def _flow_from_key(self, now: Moment) -> Float32 | None:
        """Returns the flow from the last predicted frame; None where the network must run."""
        if self._key is None:
            return None
        key = self._key[0]
        if now.time_s - key.time_s >= self.longest_s - ROUNDING_S:
            return None
        flow = self._flow(now.gray, key.gray)
        if _changed_most(~is_explained(now.gray, key.gray, flow)):
            return None
        return flow


def _changed_most(missing: Region) -> bool:
    """Returns whether a block of the image is not explained by the flow."""
    height, width = missing.shape
    blocks = max(1, height // BLOCK), max(1, width // BLOCK)
    unexplained = resize(missing.astype(np.float32), blocks)
    return bool(unexplained.max() > MAX_CHANGED)
