"""RecordingFile: where a recording is written until it is finished, and how it gets its name."""

import contextlib
import os
import struct
import sys
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

from seg.errors import ArtifactError


class FFmpegFile:
    """A file that FFmpeg writes through.

    Its MP4 writer crashes the process when it goes on after a failed write. So the first failure
    is kept, FFmpeg is told that all is well, and from then on nothing is written.

    Args:
        file: Open for reading and writing, without a buffer.

    Attributes:
        error: Why writing failed.
    """

    def __init__(self, file: BinaryIO) -> None:
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
            super().__init__(_open_locked(self.path))
        except BlockingIOError as error:
            raise ArtifactError(
                f"Another run is writing {path}; choose a different --output, or wait for its end."
            ) from error
        except OSError as error:
            raise ArtifactError(f"Cannot write {path}: {error.strerror}.") from error
        if os.fstat(self._file.fileno()).st_size and not overwrite:
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


def _open_locked(path: Path) -> BinaryIO:
    """Opens a file for this process alone, and makes it where it is missing.

    Raises:
        BlockingIOError: Another process has it.
    """
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0)
        if sys.platform == "win32":
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise
        except OSError:  # a file system without locks
            return file
        # The run before may have renamed it between the two steps.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()


def _end_of_fragments(file: BinaryIO) -> int:
    """Returns where the last fragment of an MP4 ends that has all of its data."""
    size, start, end = os.fstat(file.fileno()).st_size, 0, 0
    while start + 8 <= size:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length < 8 or start + length > size:
            break
        start += length
        if kind in (b"moov", b"mdat"):
            end = start
    return end
