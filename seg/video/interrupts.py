"""Interrupts: signals that end a run are held back until it can end well."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class HeldInterrupts:
    """While it is entered, Ctrl-C and its like wait; the first is passed on at the end.

    As an exception in any line, between two steps of a queue or of a file's end, they would leave
    threads that wait for each other for ever, or a file without its end. So whoever enters it asks
    `interrupts_pending` and ends where that does no harm. The third one is passed on at once:
    something hangs.

    Only the main thread gets signals, and only those that a Python function handles are held.
    Blocks inside each other are one.
    """

    current: ClassVar["HeldInterrupts | None"] = None

    def __init__(self) -> None:
        self.held: list[int] = []
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and HeldInterrupts.current is None:
            HeldInterrupts.current = self
            for number in STOPPING:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._hold)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if HeldInterrupts.current is not self:
            return
        HeldInterrupts.current = None
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.held and error is None:
            self._handlers[self.held[0]](self.held[0], None)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self.held.append(number)
        if len(self.held) >= 3:
            self._handlers[number](number, frame)


def interrupts_pending() -> bool:
    """Returns whether an interrupt is held back now."""
    return HeldInterrupts.current is not None and bool(HeldInterrupts.current.held)
