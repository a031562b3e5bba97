"""Mp4Writer: pictures into an MP4, encoded while the network works on the next one."""

import queue
import threading
from pathlib import Path

from seg.errors import SourceError
from seg.files.atomic import atomic_write, check_writable
from seg.notes import note
from seg.results import UInt8
from seg.video.base import Frame, Processed, Sink
from seg.video.mp4 import Encoder, count_frames

AHEAD = 8  # pictures that wait for the encoder; 22 MB at 1280x720


class Mp4Writer(Sink):
    """Writes pictures to an MP4 that every player plays, encoding in a thread of its own.

    The file has its name only when it is finished, and is read back then. Whatever ends the loop,
    the pictures written until then are kept. Timestamps are the frames' own, so a variable rate
    stays one. H.264 in 4:2:0 has even sides: an odd one gets its last column or row twice, which
    is said. A picture of another size than the first is fitted into it on black.

    Args:
        path: Ends in `.mp4`.
        overwrite: Whether an existing file is replaced.
        source: The video that the frames come from: its clock is kept, its sound copied as it is.
        fps: What the rate is about; for the encoder's planning alone.

    Raises:
        ArtifactError: The file exists, or its folder cannot be written to.
        SourceError: The name does not end in `.mp4`.
    """

    stage = "encode"

    def __init__(
        self,
        path: Path,
        overwrite: bool = False,
        source: Path | None = None,
        fps: float | None = None,
    ) -> None:
        if path.suffix.lower() != ".mp4":
            raise SourceError(
                f"Video is written as MP4: give a name that ends in .mp4, not {path}."
            )
        check_writable(path, overwrite)
        self.path, self.num_frames = path, 0
        self._source, self._fps = source, fps or 25.0
        self._atomic = atomic_write(path)
        self._part = self._atomic.__enter__()
        self._queue: queue.Queue[tuple[UInt8, float] | None] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._encode, name="dinoseg-encoder", daemon=True)
        self._error: BaseException | None = None
        self._is_complete = self._is_closed = False

    def write(self, frame: Frame, processed: Processed) -> None:
        """Hands the image to the encoder; waits where that is behind."""
        self.add(processed.image, frame.time_s)

    def add(self, picture: UInt8, time_s: float) -> None:
        """Hands over uint8 `(H, W, 3)` BGR, not to be changed afterwards, and when it is shown.

        Raises:
            SourceError: Encoding failed.
        """
        if self._thread.ident is None:
            self._thread.start()
        if self._error is not None:
            raise self._failure() from self._error
        self._queue.put((picture, time_s))

    def end_of_stream(self) -> None:
        """Keeps the sound to its end, and the last picture as long as the source shows it."""
        self._is_complete = True

    def close(self) -> None:
        """Finishes the file, reads it back and gives it its name; no picture, no file.

        Raises:
            SourceError: Encoding failed, or the file does not hold every picture.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._drain()
        except BaseException as error:
            if not self._atomic.__exit__(type(error), error, error.__traceback__):
                raise
        if self.num_frames:
            self._atomic.__exit__(None, None, None)
            if not self._is_complete:
                note(f"{self.path} holds the {self.num_frames} frames until here")
        else:
            self._part.unlink(missing_ok=True)

    def _drain(self) -> None:
        if self._thread.ident is not None:
            self._queue.put(None)
            self._thread.join()
        if self._error is not None:
            raise self._failure() from self._error
        if self.num_frames and (found := count_frames(self._part)) != self.num_frames:
            raise SourceError(
                f"{self.path} was to hold {self.num_frames} frames and holds {found}; not kept. "
                "Is the disk full?"
            )

    def _failure(self) -> SourceError:
        return SourceError(f"Encoding {self.path} failed: {self._error}. Is the disk full?")

    def _encode(self) -> None:
        """The encoder's thread: until None comes; after an error it only empties the queue."""
        encoder: Encoder | None = None
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                encoder = encoder or Encoder(self._part, item[0], self._fps, self._source)
                encoder.write(*item)
                self.num_frames += 1
            except Exception as error:
                self._error = error
        try:
            if encoder is not None:
                encoder.close(self._is_complete)
        except Exception as error:
            self._error = self._error or error
