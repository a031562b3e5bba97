"""Signals that end a command: Ctrl-C, SIGTERM and SIGHUP end it alike, without a traceback."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from seg.video.interrupts import STOPPING

NAMES = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
WORDS = {number: NAMES[number.name] for number in STOPPING}


class Stopped(KeyboardInterrupt):
    """A signal asks the command to end.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(WORDS[number])
        self.number = number


class StopSignals:
    """While it is entered, the first signal raises `Stopped`, wherever the main thread is.

    What ends then is not disturbed: the second signal does nothing, since people press Ctrl-C
    twice. The third one ends the process at once, and what was being written stays unfinished.

    Args:
        is_final: Whether the process ends afterwards; then signals are ignored from there on,
            since Python prints a traceback for those that come while it shuts down.

    Attributes:
        received: Number of the first signal, None before it.
    """

    def __init__(self, is_final: bool) -> None:
        self.is_armed = False
        self._after = signal.SIG_IGN if is_final else None
        self.received: int | None = None
        self._count = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        self.is_armed = True
        if threading.current_thread() is threading.main_thread():
            for number in WORDS:
                # What nohup and background jobs ignore stays ignored.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.is_armed = False
        for number, before in self._before.items():
            signal.signal(number, self._after or before)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        self.received = self.received or number
        if self._count >= 3:
            os._exit(128 + number)
        if self.is_armed and self._count == 1:
            raise Stopped(number)
