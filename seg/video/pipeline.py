"""Pipeline: what the apps do with each frame: predict, and draw what was predicted."""

from collections.abc import Sequence
from typing import Protocol

from seg.imaging.annotators import Caption
from seg.imaging.overlay import Overlay
from seg.results import UInt8
from seg.video.base import Frame, Processed
from seg.video.meter import Meter


class FramePredictor(Protocol):
    """An image in, a result of its task out."""

    @property
    def task(self) -> str:
        """The name that the result gets."""

    def __call__(self, image: UInt8, /) -> object:
        """Predicts on uint8 `(H, W, 3)` BGR."""


class Pipeline:
    """Runs predictors on a frame and draws their results over it.

    Args:
        predictors: One for each task.
        overlay: How results are drawn.
        meter: Told how long each predictor takes, and drawing.
        show_fps: Whether the current rate is written into the image.

    Attributes:
        tasks: The names of the results.
    """

    def __init__(
        self,
        predictors: Sequence[FramePredictor],
        overlay: Overlay,
        meter: Meter,
        show_fps: bool = False,
    ) -> None:
        self.tasks = tuple(predictor.task for predictor in predictors)
        self._predictors, self._overlay = predictors, overlay
        self._meter, self._show_fps = meter, show_fps

    def __call__(self, frame: Frame, /) -> Processed:
        """Returns the results, and the image with them drawn over it."""
        results = {}
        for predictor in self._predictors:
            with self._meter.stage(predictor.task):
                results[predictor.task] = predictor(frame.image)
        fps = self._meter.fps if self._show_fps else 0.0
        caption = [Caption(f"{fps:.1f} FPS")] if fps else []
        with self._meter.stage("overlay"):
            image = self._overlay.draw(frame.image, *results.values(), *caption)
        return Processed(image, results)
