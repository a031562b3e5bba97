"""Meter: how fast frames go through, and how long each stage takes."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

WINDOW_S = 2.0
KEPT = 100_000  # times of a stage; the last hour of a camera that runs for days


class Meter:
    """Counts frames and times stages; a stage has the name that whoever is timed gives it.

    Stages may be timed in several threads at once, each in one of its own.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._start_s = 0.0
        self._stamps: deque[float] = deque()
        self._stages: dict[str, deque[float]] = {}
        self.num_frames = 0

    def start(self) -> None:
        """Starts the wall clock."""
        self._start_s = self._clock()

    @property
    def wall_s(self) -> float:
        """Seconds since `start`."""
        return self._clock() - self._start_s

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage on one frame; one that fails is not counted."""
        times_ms = self._stages.setdefault(name, deque(maxlen=KEPT))
        start_s = self._clock()
        yield
        times_ms.append((self._clock() - start_s) * 1e3)

    @property
    def stages(self) -> Mapping[str, Sequence[float]]:
        """Milliseconds of each stage, in the order in which they were first timed."""
        return {name: tuple(times_ms) for name, times_ms in self._stages.items()}

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


def peak_memory_mb() -> float | None:
    """Returns the most memory that this process has had in RAM, in 10^6 bytes; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
