"""Mp4Writer: images into an MP4, encoded while the network works on the next one."""

import errno
import logging
import queue
import threading
from pathlib import Path

from seg.errors import ArtifactError, SourceError
from seg.files.atomic import check_writable, publish
from seg.results import UInt8
from seg.video.base import Frame, Processed, Sink
from seg.video.damage import frames_text
from seg.video.interrupts import HeldInterrupts
from seg.video.meter import Meter
from seg.video.mp4 import Encoder, count_frames, put_index_first
from seg.video.recording_file import FFmpegFile, RecordingFile

AHEAD = 8  # images that wait for the encoder; 22 MB at 1280x720

log = logging.getLogger("dinoseg")


class Mp4Writer(Sink):
    """Writes images to an MP4 that every player plays, encoding in a thread of its own.

    Until it is finished and read back the file has another name (`RecordingFile`). Whatever ends
    the loop, what was written until then is kept. Timestamps are the frames' own, so a variable
    rate stays one.

    Args:
        path: Ends in `.mp4`.
        overwrite: Whether an existing file is replaced.
        source: The video that the frames come from: its clock is kept, its audio copied as it is.
        fps: What the rate is about; for the encoder's planning alone.
        meter: Told how long encoding takes.

    Raises:
        ArtifactError: The file exists, another run writes it, or its folder cannot be written to.
        SourceError: The name does not end in `.mp4`.
    """

    stage = ""  # encoding is timed in its own thread

    def __init__(
        self,
        path: Path,
        overwrite: bool = False,
        source: Path | None = None,
        fps: float | None = None,
        meter: Meter | None = None,
    ) -> None:
        if path.suffix.lower() != ".mp4":
            raise SourceError(f"Video is written as MP4: expected a name in .mp4, got {path}.")
        check_writable(path, overwrite)
        self.path, self.num_frames = path, 0
        self._overwrite, self._source, self._fps = overwrite, source, fps or 25.0
        self._meter = meter or Meter()
        self._file = RecordingFile(path, overwrite)
        self._queue: queue.Queue[tuple[UInt8, float] | None] = queue.Queue(AHEAD)
        self._thread = threading.Thread(target=self._encode, name="dinoseg-encoder", daemon=True)
        self._error: Exception | None = None
        self._is_complete = self._is_closed = False

    def write(self, frame: Frame, processed: Processed) -> None:
        """Hands the image to the encoder; waits where that is behind."""
        self.add(processed.image, frame.time_s)

    def add(self, image: UInt8, time_s: float) -> None:
        """Hands over uint8 `(H, W, 3)` BGR, not to be changed afterwards, and when it is shown.

        Raises:
            SourceError: Encoding failed.
        """
        if self._thread.ident is None:
            self._thread.start()
        if self._error is not None:
            raise self._failure() from self._error
        self._queue.put((image, time_s))

    def end_of_stream(self) -> None:
        """Keeps the audio to its end, and the last image as long as the source shows it."""
        self._is_complete = True

    def close(self) -> None:
        """Finishes the file, reads it back and gives it its name; no image, no file.

        Raises:
            SourceError: Encoding failed; what was written before is kept.
            ArtifactError: A file appeared at `path`; the recording has a name beside it.
        """
        with HeldInterrupts():
            if not self._is_closed:
                self._is_closed = True
                self._close()

    def _close(self) -> None:
        if self._thread.ident is not None:
            self._queue.put(None)
            self._thread.join()
        try:
            num_kept = self._keep()
        except OSError as error:
            raise SourceError(f"Cannot write {self.path}: {error.strerror}.") from error
        if self._error is not None:
            raise self._failure(num_kept) from self._error
        if num_kept != self.num_frames:
            raise SourceError(
                f"{self.path} was to hold {self.num_frames} frames and reads back {num_kept}."
            )
        if num_kept and not self._is_complete:
            log.info("partial file: %s holds %s", self.path, frames_text(num_kept))

    def _keep(self) -> int:
        """Gives the file its name; returns how many frames it holds, and deletes an empty one."""
        if self._file.error is not None:
            self._file.keep_complete_fragments()
        num_frames = count_frames(self._file.path) if self.num_frames else 0
        if num_frames <= 0:
            self._file.discard()
            return 0
        is_copied = self._file.error is None and self._copy(num_frames)
        part = self._copy_path if is_copied else self._file.path
        published = publish(part, self.path, self._overwrite)
        if is_copied:
            self._file.discard()
        self._file.close()
        if published != self.path:
            raise ArtifactError(
                f"{self.path} appeared during the run and is not replaced; "
                f"the recording is {published}."
            )
        return num_frames

    @property
    def _copy_path(self) -> Path:
        return self._file.path.with_stem(f"{self._file.path.stem}.copy")

    def _copy(self, num_frames: int) -> bool:
        """Copies the recording with its index in front; returns whether that worked."""
        with self._copy_path.open("w+b", buffering=0) as file:
            target = FFmpegFile(file)
            try:
                put_index_first(self._file.path, target, self._copy_path)
            except Exception as error:  # PyAV passes on whatever FFmpeg says
                target.error = target.error or OSError(str(error))
        if target.error is None and count_frames(self._copy_path) == num_frames:
            return True
        self._copy_path.unlink()
        log.warning(
            "%s stays in fragments, in which not every player can seek; copying it failed: %s",
            self.path,
            target.error or "the copy is short",
        )
        return False

    def _failure(self, num_kept: int | None = None) -> SourceError:
        error = self._error
        if isinstance(error, OSError) and error.strerror:
            text = f"Cannot write {self.path}: {error.strerror}."
        else:
            text = f"Encoding {self.path} failed: {error}."
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += " Make room, or choose a different --output."
        if num_kept:
            text += f" The first {num_kept} frames are kept."
        return SourceError(text)

    def _encode(self) -> None:
        """The encoder's thread: until None comes; after an error it only empties the queue."""
        encoder: Encoder | None = None
        while (item := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                with self._meter.stage("encode"):
                    encoder = encoder or Encoder(self._file, item[0], self._fps, self._source)
                    encoder.write(*item)
                self._file.check()
                self.num_frames += 1
            except Exception as error:
                self._error = error
        try:
            if encoder is not None:
                encoder.close(self._is_complete)
                self._file.check()
        except Exception as error:
            self._error = self._error or error
