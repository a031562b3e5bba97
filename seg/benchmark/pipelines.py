"""What is timed: a model on an engine, and the tutorial's loop as the common baseline."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from seg.benchmark.interleave import Stopwatch
from seg.errors import SourceError
from seg.imaging.letterbox import hw_of
from seg.imaging.overlay import Overlay
from seg.imaging.palette import Palette
from seg.predictors.decode import decode_logits
from seg.predictors.segmenter import Segmenter
from seg.results import Float32, Mask, UInt8
from seg.runtimes.base import Runtime
from seg.video.base import Frame
from seg.video.mp4 import Encoder
from seg.video.sources import VideoFile

TUTORIAL_SIDE, TUTORIAL_PADDED = 640, 644  # the tutorial's square, and the next multiple of 14


class TimedPipeline(ABC):
    """Decodes a clip and encodes the images drawn; what lies between is a subclass's.

    Args:
        name: Its name in the report.
        clip: The video.
    """

    def __init__(self, name: str, clip: Path) -> None:
        self.name, self.clip = name, clip
        self._folder = tempfile.TemporaryDirectory(prefix="dinoseg-")
        self._file = (Path(self._folder.name) / "out.mp4").open("w+b")
        self._encoder: Encoder | None = None
        self._num_frames = 0

    def frames(self) -> Iterator[Frame]:
        """Opens the clip anew and yields its frames."""
        with VideoFile(self.clip) as source:
            yield from source
        if source.damage:
            raise SourceError(source.damage)

    @abstractmethod
    def run(self, frame: Frame, watch: Stopwatch) -> None:
        """Carries one frame through every stage after decoding."""

    def encode(self, image: UInt8, watch: Stopwatch) -> None:
        """Writes an image into this pipeline's own video, in the calling thread."""
        with watch.stage("encode"):
            if self._encoder is None:
                self._encoder = Encoder(self._file, image, 25.0)
            self._encoder.write(image, self._num_frames / 25)
        self._num_frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Deletes what was encoded."""
        if self._encoder is not None:
            self._encoder.close(is_complete=True)
            self._encoder = None
        self._file.close()
        self._folder.cleanup()


class ModelPipeline(TimedPipeline):
    """A model through this library's own stages.

    Args:
        name: Its name in the report.
        clip: The video.
        segmenter: The model; closed with the pipeline.
    """

    def __init__(self, name: str, clip: Path, segmenter: Segmenter) -> None:
        super().__init__(name, clip)
        self.segmenter, self._overlay = segmenter, Overlay()

    def run(self, frame: Frame, watch: Stopwatch) -> None:
        """Carries one frame through every stage after decoding."""
        image, segmenter = frame.image, self.segmenter
        labels = self._on_gpu(image, watch) if segmenter.gpu else self._on_cpu(image, watch)
        with watch.stage("overlay"):
            drawn = self._overlay.draw(image, Mask(labels, segmenter.classes))
        self.encode(drawn, watch)

    def _on_cpu(self, image: UInt8, watch: Stopwatch) -> UInt8:
        with watch.stage("pack"):
            pixels, letterbox = self.segmenter.pack(image)
        with watch.stage("model"):
            logits = self.segmenter.run(pixels)[0]
        with watch.stage("unpack"):
            return decode_logits(logits, letterbox.unpack)

    def _on_gpu(self, image: UInt8, watch: Stopwatch) -> UInt8:
        """What a segmenter does, but waits after each stage, so that each has its own time."""
        gpu = self.segmenter.gpu
        assert gpu is not None
        letterbox = self.segmenter.letterbox(hw_of(image))

        def timed(stage: str, work: Callable[..., Any], *given: Any) -> Any:
            with watch.stage(stage):
                made = work(*given)
                gpu.wait()
            return made

        frame = timed("transfer", gpu.upload, image)
        logits = timed("model", gpu.run, timed("pack", gpu.pack, frame, letterbox))
        labels = timed("unpack", gpu.decode, logits, letterbox)
        _, mask = timed("transfer", gpu.download, logits, labels)
        return np.asarray(mask, np.uint8)

    def close(self) -> None:
        """Closes the model too."""
        super().close()
        self.segmenter.close()


class TutorialPipeline(TimedPipeline):
    """The tutorial's loop: a square whatever the aspect, full-size scores, a float overlay.

    Args:
        name: Its name in the report.
        clip: The video.
        runtime: DINOv2 ViT-S/14 in eager torch, float32; closed with the pipeline.
    """

    def __init__(self, name: str, clip: Path, runtime: Runtime) -> None:
        super().__init__(name, clip)
        self.runtime = runtime

    def run(self, frame: Frame, watch: Stopwatch) -> None:
        """Carries one frame through every stage after decoding."""
        image = frame.image
        with watch.stage("pack"):
            pixels = _square(image)
        with watch.stage("model"):
            logits = self.runtime.run(pixels)["logits"][0]
        with watch.stage("unpack"):
            labels = _labels(logits, hw_of(image))
        with watch.stage("overlay"):
            drawn = _blend(image, labels)
        self.encode(drawn, watch)

    def close(self) -> None:
        """Closes the network too."""
        super().close()
        self.runtime.close()


def _square(image: UInt8) -> Float32:
    """Squashes a frame to 640 x 640 and pads it to 644, in floats: `(1, 3, 644, 644)` RGB 0..1."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (TUTORIAL_SIDE, TUTORIAL_SIDE))
    scaled = small.astype(np.float32) / 255
    before = (TUTORIAL_PADDED - TUTORIAL_SIDE) // 2
    after = TUTORIAL_PADDED - TUTORIAL_SIDE - before
    padded = np.pad(scaled, ((before, after), (before, after), (0, 0)))
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None])


def _labels(logits: Float32, hw: tuple[int, int]) -> UInt8:
    """Enlarges every score map to the frame, then takes the largest."""
    maps = [cv2.resize(scores, (hw[1], hw[0])) for scores in logits]
    return np.asarray(np.argmax(np.stack(maps), 0), np.uint8)


def _blend(image: UInt8, labels: UInt8) -> UInt8:
    """Mixes frame and colors in floats, every pixel."""
    colors = Palette().table()[:, 0][labels].astype(np.float32)
    mixed = image.astype(np.float32) * 0.6 + colors * 0.4
    return np.clip(mixed, 0, 255).astype(np.uint8)
