"""The race: one clock for every contestant, and the order in which they run."""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from seg.errors import SourceError
from seg.video.base import Frame

# transfer: between the memories of processor and GPU
STAGES = ("decode", "transfer", "pack", "model", "unpack", "overlay", "encode")
PERCENTS = (50, 95, 99)
BLOCK = 8  # frames that one contestant runs before the next does: enough to fill its own caches

Clock = Callable[[], float]


class Stopwatch:
    """Times the stages of one frame after another.

    Args:
        clock: Seconds that only grow.

    Attributes:
        frames: For each finished frame, each stage's milliseconds.
    """

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._current: dict[str, float] = {}
        self.frames: list[dict[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times a stage of the current frame; a second time adds to the first."""
        start = self._clock()
        yield
        spent = (self._clock() - start) * 1e3
        self._current[name] = self._current.get(name, 0.0) + spent

    def lap(self) -> None:
        """Ends the frame."""
        self.frames.append(self._current)
        self._current = {}


class Contestant(Protocol):
    """What races: it decodes, segments, draws and encodes by itself, stage by stage."""

    name: str

    def frames(self) -> Iterator[Frame]:
        """Opens the clip anew and yields its frames."""
        ...

    def run(self, frame: Frame, watch: Stopwatch) -> None:
        """Carries one frame through every stage after decoding."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """What one contestant took.

    Attributes:
        first_ms: The very first frame, end to end, with whatever was still to be set up.
        frames: Each stage's milliseconds, for each frame that counts.
    """

    first_ms: float
    frames: Sequence[Mapping[str, float]]

    def percentiles(self, stage: str) -> tuple[float, ...]:
        """Returns a stage's `PERCENTS` in milliseconds; `total` is all stages of a frame."""
        values = [self._of(frame, stage) for frame in self.frames]
        return tuple(float(value) for value in np.percentile(values, PERCENTS))

    @property
    def fps(self) -> float:
        """Frames per second, end to end, one stage after the other: frames by summed time."""
        spent_ms = sum(self._of(frame, "total") for frame in self.frames)
        return 1e3 * len(self.frames) / spent_ms if spent_ms > 0 else 0.0

    @staticmethod
    def _of(frame: Mapping[str, float], stage: str) -> float:
        return sum(frame.values()) if stage == "total" else frame.get(stage, 0.0)


def turns(count: int, num_frames: int, block: int = BLOCK) -> Iterator[tuple[int, int]]:
    """Yields who runs next and how many frames: blocks in turn, the order reversed each round.

    Going back and forth spreads slow drifts (heat, other work on the machine) over everybody: each
    is as early as it is late.
    """
    done, order = 0, list(range(count))
    while done < num_frames:
        length = min(block, num_frames - done)
        for index in order:
            yield index, length
        order.reverse()
        done += length


def race(
    contestants: Sequence[Contestant],
    num_frames: int,
    warmup: int,
    clock: Clock = time.perf_counter,
) -> dict[str, Times]:
    """Runs every contestant over the clip, interleaved; a clip that is too short starts again.

    Args:
        contestants: With different names.
        num_frames: Frames of each that count.
        warmup: Frames of each before, which do not; at least 1.
        clock: Seconds that only grow.

    Raises:
        SourceError: The clip cannot be read.
        EngineFailure: An engine failed.
    """
    watches = [Stopwatch(clock) for _ in contestants]
    films = [_endless(one, watch) for one, watch in zip(contestants, watches, strict=True)]
    for index, length in _schedule(len(contestants), num_frames, warmup):
        for _ in range(length):
            contestants[index].run(next(films[index]), watches[index])
            watches[index].lap()
    for film in films:
        film.close()
    return {
        one.name: Times(sum(watch.frames[0].values()), watch.frames[warmup:])
        for one, watch in zip(contestants, watches, strict=True)
    }


def _schedule(count: int, num_frames: int, warmup: int) -> Iterator[tuple[int, int]]:
    yield from ((index, warmup) for index in range(count))
    yield from turns(count, num_frames)


def _endless(contestant: Contestant, watch: Stopwatch) -> Generator[Frame]:
    """Yields frames for ever; the time of reading each goes to its `decode`."""
    while True:
        film, is_empty = iter(contestant.frames()), True
        while True:
            with watch.stage("decode"):
                frame = next(film, None)
            if frame is None:
                break
            is_empty = False
            yield frame
        if is_empty:
            raise SourceError("The clip has no frame to run on.")
