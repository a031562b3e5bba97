"""RawFrames: images as bare bytes, for another program's standard input."""

from typing import BinaryIO

from seg.errors import SourceError
from seg.imaging.letterbox import Size, hw_of
from seg.video.base import Frame, Processed, Sink


class RawFrames(Sink):
    """Writes each image as `H * W * 3` bytes, BGR, rows from the top: FFmpeg's bgr24.

    Where the reader closes its end, the loop ends.

    Args:
        file: Stays the caller's to close.
    """

    stage = "raw"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hw: Size | None = None

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes the image; raises SourceError where its size is another than the first's."""
        hw = hw_of(processed.image)
        self._hw = self._hw or hw
        if hw != self._hw:
            raise SourceError(
                f"Raw frames have one size: expected {self._hw[1]}x{self._hw[0]}, got "
                f"{hw[1]}x{hw[0]}."
            )
        try:
            self._file.write(processed.image.tobytes())
            self._file.flush()
        except BrokenPipeError:
            self.closed = True

    def close(self) -> None:
        """Does nothing: what was written is out already."""
