"""What flows through the loop, and its two ends: Frame, Source, Sink."""

import dataclasses
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator

from seg.closing import Closing
from seg.results import Mask, UInt8


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it was.

    Attributes:
        image: uint8 `(H, W, 3)` BGR, upright; belongs to the frame.
        index: Counts the frames read from the source, from 0.
        time_s: Seconds from the source's start; larger than the frame's before.
        name: What a picture file is called, without its folder; empty for video.
        discontinuity: Whether frames are missing before this one (damage, a reconnect), so that
            whoever smooths over time starts anew.
    """

    image: UInt8
    index: int
    time_s: float
    name: str = ""
    discontinuity: bool = False


class Source(Closing, ABC):
    """Frames, one after the other; iterated once, in one thread.

    Attributes:
        live: Whether the newest frame wins (cameras, streams). Files keep every frame.
        stage: What reading is called in a report.
        fps: Frames per second as the source says it, None where it does not; only a hint.
        damage: After the iteration: one line that says what is missing; empty for a whole source.
        stop: Set by another thread to end a wait and, with it, the iteration.
    """

    live = False
    stage = "decode"
    fps: float | None = None
    damage = ""

    def __init__(self) -> None:
        self.stop = threading.Event()

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yields each frame; raises SourceError where reading fails."""


class Sink(Closing, ABC):
    """Where pictures and masks go.

    Attributes:
        stage: What writing is called in a report.
        closed: Whether the user closed it, which ends the loop.
    """

    stage = "write"
    closed = False

    @abstractmethod
    def write(self, frame: Frame, picture: UInt8, mask: Mask) -> None:
        """Takes one frame's picture, uint8 `(H, W, 3)` BGR, and mask; it may keep both.

        Raises:
            SourceError: It cannot be written.
        """

    def finish(self) -> None:
        """Says, before `close`, that the source ended by itself: nothing is missing."""
