"""The loop of every app: read ahead in a thread, process, write; end in one order, always."""

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext

from seg.errors import SpecMismatch
from seg.video.base import Frame, Process, Sink, Source
from seg.video.interrupts import HeldInterrupts, interrupts_pending
from seg.video.meter import KEPT, Meter, peak_memory_mb
from seg.video.report import Report

AHEAD = 4  # frames read before they are asked for
WAIT_S = 0.2  # between two looks for an interrupt


def run(
    source: Source,
    process: Process,
    sinks: Sequence[Sink],
    meter: Meter | None = None,
    max_frames: int | None = None,
) -> Report:
    """Carries every frame of a source through `process` into the sinks, in order.

    Files keep every frame; a live source keeps the newest and drops the others. However it ends
    (end of the source, a closed window, an error anywhere, Ctrl-C), it ends in this order: the
    source is told to stop, the reader joined, the source closed, the sinks closed in turn. A
    damaged source raises nothing here: the report says what it lacks. An interrupt ends the run
    after the frame in work and is raised once everything is closed.

    Args:
        source: Where frames come from; closed afterwards.
        process: What is done with each.
        sinks: Where they go; closed afterwards.
        meter: Times the stages; pass the one that `process` uses to have its stages reported.
        max_frames: Stops after so many; None goes on to the source's end.

    Raises:
        SpecMismatch: A sink needs a result that `process` does not make.
        SegError: Whatever source, process or sinks raised, after everything was closed.
        KeyboardInterrupt: Ctrl-C, after everything was closed.
    """
    meter = meter or Meter()
    reader = _Reader(source, meter)
    with HeldInterrupts(), ExitStack() as ending:  # which runs backwards
        for sink in reversed(sinks):
            ending.callback(sink.close)
        ending.callback(source.close)
        ending.callback(reader.join)
        ending.callback(source.stop.set)
        _check_needs(sinks, process)
        meter.start()
        reader.start()
        for frame in reader:
            processed = process(frame)
            for sink in sinks:
                with meter.stage(sink.stage) if sink.stage else nullcontext():
                    sink.write(frame, processed)
            meter.tick()
            reader.note_age()
            if meter.num_frames == max_frames or any(sink.closed for sink in sinks):
                break
        else:
            is_partial = source.damage or interrupts_pending()
            for sink in () if is_partial else sinks:
                sink.end_of_stream()
    return Report(
        num_read=reader.num_read,
        num_frames=meter.num_frames,
        num_dropped=reader.num_dropped,
        damage=source.damage,
        wall_s=meter.wall_s,
        stages=meter.stages,
        peak_mb=peak_memory_mb(),
        unit=source.unit,
        ages_ms=tuple(reader.ages_ms),
    )


def _check_needs(sinks: Sequence[Sink], process: Process) -> None:
    for sink in sinks:
        if missing := set(sink.needs) - set(process.tasks):
            raise SpecMismatch(
                f"{type(sink).__name__} needs the result of {', '.join(sorted(missing))}; this "
                f"run makes {', '.join(process.tasks) or 'none'}."
            )


class _Reader(threading.Thread):
    """Reads a source ahead; iterated by the thread that uses the frames."""

    def __init__(self, source: Source, meter: Meter) -> None:
        super().__init__(name="dinoseg-reader", daemon=True)
        self.num_read = self.num_dropped = 0
        self._source, self._meter = source, meter
        self._frames: deque[tuple[Frame, float]] = deque()
        self._decoded_s = 0.0  # of the frame in work
        self.ages_ms: deque[float] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._is_done = False
        self._error: BaseException | None = None

    def join(self, timeout: float | None = None) -> None:
        """Waits until the thread has ended, where it was started."""
        if self.ident is not None:
            super().join(timeout)

    def run(self) -> None:
        """The reader's thread: until the source ends, fails or is stopped."""
        try:
            for frame in self._timed():
                self.num_read += 1
                if not self._put(frame):
                    break
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._is_done = True
                self._changed.notify_all()

    def note_age(self) -> None:
        """Counts how old the frame in work is, where the source is live."""
        if self._source.live:
            self.ages_ms.append(1e3 * (time.monotonic() - self._decoded_s))

    def _timed(self) -> Iterator[Frame]:
        frames = iter(self._source)
        while True:
            try:
                with self._meter.stage(self._source.stage):
                    frame = next(frames)
            except StopIteration:
                return
            yield frame

    def _put(self, frame: Frame) -> bool:
        stop = self._source.stop
        with self._changed:
            if self._source.live:
                self.num_dropped += len(self._frames)
                self._frames.clear()
            while len(self._frames) >= AHEAD and not stop.is_set():
                self._changed.wait(WAIT_S)
            self._frames.append((frame, time.monotonic()))
            self._changed.notify_all()
        return not stop.is_set()

    def __iter__(self) -> Iterator[Frame]:
        while not interrupts_pending():
            with self._changed:
                while not (self._frames or self._is_done or interrupts_pending()):
                    self._changed.wait(WAIT_S)
                if not self._frames:
                    break
                frame, self._decoded_s = self._frames.popleft()
                self._changed.notify_all()
            yield frame
        if self._error is not None:
            raise self._error
