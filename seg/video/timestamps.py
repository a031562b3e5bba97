"""When each frame is shown: seconds that only grow, whatever the file's timestamps do."""

import av

RESET_S = 2.0  # timestamps that jump back further start anew: files glued together


class FrameClock:
    """Gives each frame its time: seconds from the source's start.

    Args:
        stream: Where the frames come from.
        step_s: Between two frames where there are no timestamps.

    Attributes:
        last_s: The time of the last frame; None before the first.
    """

    def __init__(self, stream: av.VideoStream, step_s: float) -> None:
        self.step_s = step_s
        self.last_s: float | None = None
        self._unit = stream.time_base or 1
        self._start = stream.start_time
        self._origin = 0

    def time_of(self, frame: av.VideoFrame) -> float:
        """Returns the time of the next frame, exact where the file has timestamps."""
        # Without pts, decoding times count just as evenly, later by the decoder's delay.
        stamp = frame.pts if frame.pts is not None else frame.dts
        if self.last_s is None:
            has_start = frame.pts is not None and self._start is not None
            self._origin = (self._start if has_start else stamp) or 0
            self.last_s = max(0.0, self._seconds(self._origin if stamp is None else stamp))
        elif stamp is None:
            self.last_s += self.step_s
        elif (time_s := self._seconds(stamp)) > self.last_s:
            self.last_s = time_s
        else:
            is_reset = time_s < self.last_s - RESET_S
            self.last_s += self.step_s
            if is_reset:
                self._origin = stamp - round(self.last_s / self._unit)
        return self.last_s

    def _seconds(self, stamp: int) -> float:
        return float((stamp - self._origin) * self._unit)
