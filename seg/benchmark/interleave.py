"""Timing candidates against each other: one clock, blocks of frames in turn."""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from seg.errors import SourceError
from seg.progress import track
from seg.video.base import Frame

# transfer: between the memories of processor and GPU
STAGES = ("decode", "transfer", "pack", "model", "unpack", "overlay", "encode")
PERCENTS = (50, 95, 99)
BLOCK = 8  # frames that one candidate runs before the next does: enough to fill its own caches

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


class Candidate(Protocol):
    """What is timed: it decodes, segments, draws and encodes, stage by stage."""

    name: str

    def frames(self) -> Iterator[Frame]:
        """Opens the clip anew and yields its frames."""
        ...

    def run(self, frame: Frame, watch: Stopwatch) -> None:
        """Carries one frame through every stage after decoding."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """What one candidate took.

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


def schedule(count: int, num_frames: int, block: int = BLOCK) -> Iterator[tuple[int, int]]:
    """Yields which candidate runs next and for how many frames.

    Blocks alternate and the order is reversed in each round, so that slow drifts (heat, other work
    on the machine) affect all candidates alike.
    """
    done, order = 0, list(range(count))
    while done < num_frames:
        length = min(block, num_frames - done)
        for index in order:
            yield index, length
        order.reverse()
        done += length


def interleave(
    candidates: Sequence[Candidate],
    num_frames: int,
    warmup: int,
    clock: Clock = time.perf_counter,
) -> dict[str, Times]:
    """Runs every candidate over the clip, interleaved; a clip that is too short starts again.

    Args:
        candidates: With different names.
        num_frames: Frames of each that count.
        warmup: Frames of each before, which do not; at least 1.
        clock: Seconds that only grow.

    Raises:
        SourceError: The clip cannot be read.
        EngineFailure: An engine failed.
    """
    watches = [Stopwatch(clock) for _ in candidates]
    streams = [_loop_frames(one, watch) for one, watch in zip(candidates, watches, strict=True)]
    blocks = list(_schedule_with_warmup(len(candidates), num_frames, warmup))
    for index, length in track(blocks, "timing blocks of frames"):
        for _ in range(length):
            candidates[index].run(next(streams[index]), watches[index])
            watches[index].lap()
    for frames in streams:
        frames.close()
    return {
        one.name: Times(sum(watch.frames[0].values()), watch.frames[warmup:])
        for one, watch in zip(candidates, watches, strict=True)
    }


def _schedule_with_warmup(count: int, num_frames: int, warmup: int) -> Iterator[tuple[int, int]]:
    yield from ((index, warmup) for index in range(count))
    yield from schedule(count, num_frames)


def _loop_frames(candidate: Candidate, watch: Stopwatch) -> Generator[Frame]:
    """Yields frames without end; the time of reading each one counts as its `decode`."""
    while True:
        frames, is_empty = iter(candidate.frames()), True
        while True:
            with watch.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                break
            is_empty = False
            yield frame
        if is_empty:
            raise SourceError("The clip has no frame to run on.")
