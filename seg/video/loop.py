"""The loop of every app: read ahead in a thread, process, write; end in one order, always."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from seg.imaging.overlay import Overlay
from seg.results import Mask, UInt8
from seg.video.base import Frame, Sink, Source
from seg.video.meter import Meter, Report

AHEAD = 4  # frames read before they are asked for
WAIT_S = 0.2  # on some systems Ctrl-C only arrives between waits

Process = Callable[[Frame], tuple[UInt8, Mask]]


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
    damaged source raises nothing here: ask its `damage` afterwards.

    Args:
        source: Where frames come from; closed afterwards.
        process: Frame -> picture, uint8 `(H, W, 3)` BGR, and mask.
        sinks: Where they go; closed afterwards.
        meter: Counts; pass the one that `process` uses to have the model's time reported.
        max_frames: Stops after so many; None goes on to the source's end.

    Raises:
        SegError: Whatever source, process or sinks raised, after everything was closed.
    """
    meter = meter or Meter()
    reader = _Reader(source)
    with ExitStack() as ending:  # runs backwards
        for sink in reversed(sinks):
            ending.callback(sink.close)
        ending.callback(source.close)
        ending.callback(reader.join)
        ending.callback(source.stop.set)
        meter.start()
        reader.start()
        for frame in reader:
            picture, mask = process(frame)
            for sink in sinks:
                sink.write(frame, picture, mask)
            meter.tick()
            if meter.num_frames == max_frames or any(sink.closed for sink in sinks):
                break
        else:
            for sink in () if source.damage else sinks:
                sink.finish()
    stages = (source.stage, "model", "overlay", *(sink.stage for sink in sinks))
    return meter.report(stages, reader.dropped)


class Draw:
    """The `process` of the apps: segments a frame and draws the mask over it.

    Args:
        segment: Image -> mask.
        overlay: How it is drawn.
        meter: Told how long `segment` takes.
        caption: Whether the current rate is written into the picture.
    """

    def __init__(
        self,
        segment: Callable[[UInt8], Mask],
        overlay: Overlay,
        meter: Meter,
        caption: bool = False,
    ) -> None:
        self.segment, self.overlay, self.meter, self.caption = segment, overlay, meter, caption

    def __call__(self, frame: Frame) -> tuple[UInt8, Mask]:
        """Returns the picture, a new array, and the mask."""
        with self.meter.model():
            mask = self.segment(frame.image)
        text = f"{self.meter.fps:.1f} FPS" if self.caption and self.meter.fps else ""
        return self.overlay.draw(frame.image, mask, text), mask


class _Reader(threading.Thread):
    """Reads a source ahead; iterated by the thread that uses the frames."""

    def __init__(self, source: Source) -> None:
        super().__init__(name="dinoseg-reader", daemon=True)
        self.dropped = 0
        self._source = source
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._is_done = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """The reader's thread: until the source ends, fails or is stopped."""
        try:
            for frame in self._source:
                if not self._put(frame):
                    break
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._is_done = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> bool:
        stop = self._source.stop
        with self._changed:
            if self._source.live:
                self.dropped += len(self._frames)
                self._frames.clear()
            while len(self._frames) >= AHEAD and not stop.is_set():
                self._changed.wait(WAIT_S)
            self._frames.append(frame)
            self._changed.notify_all()
        return not stop.is_set()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while not self._frames and not self._is_done:
                    self._changed.wait(WAIT_S)
                if not self._frames:
                    break
                frame = self._frames.popleft()
                self._changed.notify_all()
            yield frame
        if self._error is not None:
            raise self._error
