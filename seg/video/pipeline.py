"""Pipeline: what the apps do with each frame: predict, and draw what was predicted."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

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


class TaskPredictor(Protocol):
    """An image in, the results of several tasks out, from one run of a network."""

    @property
    def tasks(self) -> Sequence[str]:
        """The names of the results, in their order."""

    def __call__(self, image: UInt8, /) -> Mapping[str, object]:
        """Predicts on uint8 `(H, W, 3)` BGR."""


@runtime_checkable
class StreamPredictor(Protocol):
    """A frame of a stream in, a result of its task out; it may remember the frames before."""

    @property
    def task(self) -> str:
        """The name that the result gets."""

    def predict_frame(self, frame: Frame, /) -> object:
        """Predicts on the stream's next frame."""


class Pipeline:
    """Runs predictors on a frame and draws their results over it.

    Args:
        predictors: One for each task, or one for all of them; those that remember frames, for this
            stream alone.
        overlay: How results are drawn.
        meter: Told how long each predictor takes, and drawing.
        show_fps: Whether the current rate is written into the image.

    Attributes:
        tasks: The names of the results.
    """

    def __init__(
        self,
        predictors: Sequence[FramePredictor | StreamPredictor] | TaskPredictor,
        overlay: Overlay,
        meter: Meter,
        show_fps: bool = False,
    ) -> None:
        self._predict = predictors if callable(predictors) else _Each(predictors, meter)
        self.tasks, self._overlay = tuple(self._predict.tasks), overlay
        self._meter, self._show_fps = meter, show_fps

    def __call__(self, frame: Frame, /) -> Processed:
        """Returns the results, and the image with them drawn over it."""
        if isinstance(self._predict, _Each):
            results = self._predict(frame)
        else:
            with self._meter.stage("predict"):
                results = self._predict(frame.image)
        fps = self._meter.fps if self._show_fps else 0.0
        caption = [Caption(f"{fps:.1f} FPS")] if fps else []
        with self._meter.stage("overlay"):
            drawn = [one for one in results.values() if len(results) == 1 or Overlay.draws(one)]
            image = self._overlay.draw(frame.image, *drawn, *caption)
        return Processed(image, results)


class _Each:
    """Predictors one after the other, each timed by itself."""

    def __init__(
        self, predictors: Sequence[FramePredictor | StreamPredictor], meter: Meter
    ) -> None:
        self.tasks = [predictor.task for predictor in predictors]
        self._predictors, self._meter = predictors, meter

    def __call__(self, frame: Frame) -> Mapping[str, object]:
        results: dict[str, object] = {}
        for predictor in self._predictors:
            with self._meter.stage(predictor.task):
                results[predictor.task] = (
                    predictor.predict_frame(frame)
                    if isinstance(predictor, StreamPredictor)
                    else predictor(frame.image)
                )
        return results
