"""Progress of a run, as a sink."""

import itertools

from seg.progress import track
from seg.video.base import Frame, Processed, Sink, Source


class Progress(Sink):
    """Says how many frames are done and how long the rest takes (`seg.progress`).

    Args:
        source: What the run reads.
    """

    stage = ""

    def __init__(self, source: Source) -> None:
        self._steps = track(itertools.count(), f"{source.unit}s", source.num_frames)

    def write(self, frame: Frame, processed: Processed) -> None:
        """Counts one frame."""
        next(self._steps)

    def close(self) -> None:
        """Takes a bar away."""
        self._steps.close()
