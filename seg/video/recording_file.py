"""RecordingFile: where a recording is written until it is finished, and how it gets its name."""

import contextlib
import struct
from io import FileIO
from pathlib import Path

from seg.errors import ArtifactError
from seg.files.lock import length_of, open_exclusive


class FFmpegFile:
    """A file that FFmpeg writes through.

    Its MP4 writer crashes the process when it goes on after a failed write. So the first failure
    is kept, FFmpeg is told that all is well, and from then on nothing is written.

    Args:
        file: Open for reading and writing, without a buffer.

    Attributes:
        error: Why writing failed.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes, /) -> int:
        """Writes at the current position; never fails."""
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Moves."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Returns the position."""
        return self._file.tell()

    def check(self) -> None:
        """Raises the error of a write that failed."""
        if self.error is not None:
            raise self.error


class RecordingFile(FFmpegFile):
    """A file beside `path`, where a recording is written until it is finished.

    Of `out.mp4` it is `out.part.mp4`. A killed process leaves that, in full view; it plays. It is
    locked, so that two runs cannot write one recording.

    Args:
        path: The finished recording's.
        overwrite: Whether what a killed run has left is replaced.

    Attributes:
        path: Where it is written.

    Raises:
        ArtifactError: Another run writes it, a killed one has left it, or the folder cannot be
            written to.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path = path.with_suffix(f".part{path.suffix}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(open_exclusive(self.path, wait=False))
        except BlockingIOError as error:
            raise ArtifactError(
                f"Another run is writing {path}; choose a different --output, or wait for its end."
            ) from error
        except OSError as error:
            raise ArtifactError(f"Cannot write {path}: {error.strerror}.") from error
        if length_of(self._file) and not overwrite:
            self.close()
            raise ArtifactError(
                f"{self.path} is the recording of a run that was killed, and it plays. Rename it, "
                "delete it, or add --overwrite."
            )
        self._file.truncate(0)

    def keep_complete_fragments(self) -> None:
        """Cuts off what a failed write has left behind the last complete fragment."""
        self._file.truncate(_end_of_fragments(self._file))

    def discard(self) -> None:
        """Deletes the file, where it still has this name."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Closes the file and frees its name for others."""
        self._file.close()


def _end_of_fragments(file: FileIO) -> int:
    """Returns where the last fragment of an MP4 ends that has all of its data."""
    size, start, end = length_of(file), 0, 0
    while start + 8 <= size:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length < 8 or start + length > size:
            break
        start += length
        if kind in (b"moov", b"mdat"):
            end = start
    return end
