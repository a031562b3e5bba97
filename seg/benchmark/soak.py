"""Soak test: the video loop on a clip that repeats, and the growth of its memory."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from seg.errors import SourceError
from seg.imaging.overlay import Overlay
from seg.runtimes import environment
from seg.video import loop
from seg.video.base import Frame, Processed, Sink, Source
from seg.video.meter import Meter
from seg.video.pipeline import FramePredictor, Pipeline
from seg.video.progress import Progress
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile

# Queues of images grow and shrink by tens of MB; a leak raises the minimum of many frames, too.
WINDOW = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Growth:
    """How memory grew.

    Attributes:
        first: Frame that the growth counts from.
        last: Frame that it counts to.
        first_mb: Resident memory there, 10^6 bytes: the lowest of the `WINDOW` frames before.
        last_mb: The same at the end.
        fps: Frames per second, end to end.
    """

    first: int
    last: int
    first_mb: float
    last_mb: float
    fps: float

    @property
    def grown_mb(self) -> float:
        """How much more it was at the end."""
        return self.last_mb - self.first_mb

    def to_dict(self) -> dict[str, float]:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self) | {"grown_mb": self.grown_mb}

    def __str__(self) -> str:
        return (
            f"{self.first_mb:.1f} MB after {self.first} frames, {self.last_mb:.1f} MB after "
            f"{self.last}: {self.grown_mb:+.1f} MB; {self.fps:.1f} FPS end to end"
        )


def soak(
    clip: Path,
    predictor: FramePredictor,
    first: int,
    last: int,
    resident_mb: Callable[[], float] = environment.resident_mb,
) -> Growth:
    """Decodes, predicts, draws and encodes, in the loop that `infer_video` runs.

    Args:
        clip: A video, played again and again.
        predictor: What runs on each frame.
        first: Frame to count growth from; buffers are full by then.
        last: Frame to stop after, more than `first`.
        resident_mb: Asked after each frame.

    Raises:
        SegError: Whatever the loop raises.
    """
    meter, probe = Meter(), MemoryProbe(resident_mb)
    pipeline = Pipeline([predictor], Overlay(), meter)
    with (
        tempfile.TemporaryDirectory(prefix="dinoseg-") as folder,
        LoopedVideo(clip, last) as source,
    ):
        writer = Mp4Writer(Path(folder) / "out.mp4", fps=source.fps)
        report = loop.run(source, pipeline, [writer, probe, Progress(source)], meter)
    return Growth(first, last, probe.lowest(first), probe.lowest(last), report.fps)


class LoopedVideo(Source):
    """A video file that repeats until there were enough frames; timestamps keep rising."""

    def __init__(self, clip: Path, num_frames: int) -> None:
        super().__init__()
        self._clip, self._length, self.num_frames = clip, num_frames, num_frames
        with VideoFile(clip) as once:
            self.fps = once.fps

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while index < self._length and not self.stop.is_set():
            with VideoFile(self._clip) as once:
                for frame in islice(once, self._length - index):
                    yield Frame(frame.image, index, index / (self.fps or 25.0))
                    index += 1
            if once.damage:
                raise SourceError(once.damage)


class MemoryProbe(Sink):
    """Measures the process's memory after each frame."""

    stage = "memory"

    def __init__(self, resident_mb: Callable[[], float]) -> None:
        self._resident_mb = resident_mb
        self._found: list[float] = []

    def write(self, frame: Frame, processed: Processed) -> None:
        """Keeps one measurement."""
        self._found.append(self._resident_mb())

    def lowest(self, frame: int) -> float:
        """Returns the lowest of the frames until this one."""
        return min(self._found[max(0, frame - WINDOW) : frame])
