"""Meter: how fast it was, and what that number includes."""

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

WINDOW_S = 2.0
KEPT = 100_000  # model times; the last hour of a camera that runs for days


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The speed of a finished run; as a string, a line that says which number is which.

    Attributes:
        num_frames: Frames that reached the sinks.
        dropped: Frames that a live source gave and nobody had time for.
        wall_s: Seconds from the first frame asked for to the last sink closed.
        model_ms: Each frame's time in the model: fit, run, carry the scores back.
        stages: What `wall_s` includes.
    """

    num_frames: int
    dropped: int
    wall_s: float
    model_ms: Sequence[float]
    stages: Sequence[str]

    @property
    def fps(self) -> float:
        """Frames per second, end to end; 0.0 for no frame."""
        return self.num_frames / self.wall_s if self.wall_s > 0 else 0.0

    def __str__(self) -> str:
        frames = "1 frame" if self.num_frames == 1 else f"{self.num_frames} frames"
        text = (
            f"{frames} in {self.wall_s:.1f} s: {self.fps:.1f} FPS end to end "
            f"({', '.join(self.stages)})"
        )
        if self.model_ms:
            median, p95 = np.percentile(self.model_ms, (50, 95))
            text += f"; model alone {median:.1f} ms median, {p95:.1f} p95 ({1e3 / median:.0f} FPS)"
        return text + (f"; {self.dropped} frames dropped to stay live" if self.dropped else "")


class Meter:
    """Counts frames and the time that the model takes.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start_s = 0.0
        self._stamps: deque[float] = deque()
        self._model_ms: deque[float] = deque(maxlen=KEPT)
        self.num_frames = 0

    def start(self) -> None:
        """Starts the wall clock."""
        self._start_s = self._clock()

    @contextmanager
    def model(self) -> Iterator[None]:
        """Times the model on one frame."""
        start = self._clock()
        yield
        self._model_ms.append((self._clock() - start) * 1e3)

    def tick(self) -> None:
        """Counts a frame that all sinks have taken."""
        self.num_frames += 1
        now = self._clock()
        self._stamps.append(now)
        while now - self._stamps[0] > WINDOW_S and len(self._stamps) > 2:
            self._stamps.popleft()

    @property
    def fps(self) -> float:
        """Frames per second of wall clock over the last two seconds; 0.0 before two frames.

        Divides by gaps: n frames have n - 1 of them.
        """
        if len(self._stamps) < 2:
            return 0.0
        return (len(self._stamps) - 1) / (self._stamps[-1] - self._stamps[0])

    def report(self, stages: Sequence[str], dropped: int = 0) -> Report:
        """Stops the wall clock and returns what it saw."""
        wall_s = self._clock() - self._start_s
        return Report(self.num_frames, dropped, wall_s, tuple(self._model_ms), tuple(stages))
