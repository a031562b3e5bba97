"""Section: a part of a source, by time, and every nth frame of it."""

from collections.abc import Iterator

from seg.errors import SourceError
from seg.video.base import Frame, Source


class Section(Source):
    """The frames of a source from a time to another, thinned out.

    Numbers and times stay those of the source.

    Args:
        source: Closed with this one.
        start_s: The first moment, in seconds.
        end_s: The first moment that is left out; None goes to the source's end.
        stride: Takes every `stride`-th of these frames.

    Raises:
        SourceError: The end is not after the start.
    """

    def __init__(
        self, source: Source, start_s: float = 0.0, end_s: float | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        if end_s is not None and end_s <= start_s:
            raise SourceError(f"--end {end_s:g} must be after --start {start_s:g}.")
        self._source, self._start_s, self._end_s, self._stride = source, start_s, end_s, stride
        self.stop = source.stop
        self.live, self.stage, self.unit = source.live, source.stage, source.unit
        self.fps = source.fps and source.fps / stride
        self.num_frames = self._expected()

    def __iter__(self) -> Iterator[Frame]:
        count = 0
        for frame in self._source:
            if self._end_s is not None and frame.time_s >= self._end_s:
                break
            if frame.time_s >= self._start_s:
                if count % self._stride == 0:
                    yield frame
                count += 1
        self.damage = self._source.damage
        if not count and not self.damage:
            self.damage = f"no frame from {self._start_s:g} s on; the source is shorter"

    def close(self) -> None:
        """Closes the source."""
        self._source.close()

    def _expected(self) -> int | None:
        """Returns about how many frames it has; None where the source says nothing."""
        if self._source.num_frames is None or not self._source.fps:
            return None
        length_s = self._source.num_frames / self._source.fps
        end_s = length_s if self._end_s is None else min(self._end_s, length_s)
        return max(0, round((end_s - self._start_s) * self._source.fps / self._stride))
