"""What flows through the loop: Source -> Frame -> Process -> Processed -> Sink."""

import dataclasses
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Protocol, Self

from seg.results import UInt8


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """An image and when it was.

    Attributes:
        image: uint8 `(H, W, 3)` BGR, upright; belongs to the frame.
        index: Counts the frames read from the source, from 0.
        time_s: Seconds from the source's start; larger than the frame's before.
        name: What an image file is called, without its folder; empty for video.
        discontinuity: Whether frames are missing before this one (damage, a reconnect), so that
            whoever smooths over time starts anew.
    """

    image: UInt8
    index: int
    time_s: float
    name: str = ""
    discontinuity: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Processed:
    """What became of a frame.

    Attributes:
        image: uint8 `(H, W, 3)` BGR, to look at; a new array.
        results: Such as a `seg.results.Mask`, by the name of their task.
    """

    image: UInt8
    results: Mapping[str, object]


class Process(Protocol):
    """What the loop does with each frame."""

    @property
    def tasks(self) -> Collection[str]:
        """The names of the results that it makes."""

    def __call__(self, frame: Frame, /) -> Processed:
        """Processes one frame."""


class _Closable:
    """Closes itself at the end of a `with` block, however the block ends."""

    def close(self) -> None:
        """Frees what is held; harmless twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Source(_Closable, ABC):
    """Frames, one after the other; iterated once, in one thread.

    Attributes:
        live: Whether the newest frame wins (cameras, streams). Files keep every frame.
        stage: What reading is called in a report.
        unit: What one frame is called in a report.
        num_frames: How many frames it says it has, None where it does not; only a hint.
        fps: Frames per second as the source says it, None where it does not; only a hint.
        damage: After the iteration: one line that says what is missing; empty for a whole source.
        stop: Set by another thread to end a wait and, with it, the iteration.
    """

    live = False
    stage = "decode"
    unit = "frame"
    num_frames: int | None = None
    fps: float | None = None
    damage = ""

    def __init__(self) -> None:
        self.stop = threading.Event()

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yields each frame; raises SourceError where reading fails."""


class Sink(_Closable, ABC):
    """Where processed frames go.

    Attributes:
        stage: What writing is called in a report; empty where the sink is timed by itself.
        needs: The tasks whose results it takes; checked before the first frame.
        closed: Whether the user closed it, which ends the loop.
    """

    stage = "write"
    needs: Collection[str] = ()
    closed = False

    @abstractmethod
    def write(self, frame: Frame, processed: Processed) -> None:
        """Takes one frame and what became of it; it may keep both.

        Raises:
            SourceError: It cannot be written.
        """

    def end_of_stream(self) -> None:
        """Says, before `close`, that the source ended by itself: nothing is missing."""
