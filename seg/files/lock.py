"""A file that one process writes while others wait for it."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

logger = logging.getLogger("dinoseg")


@contextmanager
def open_locked(path: Path) -> Iterator[FileIO]:
    """Opens a file to append to, for this process alone; waits where another has it.

    Whoever has it may rename or delete it. At the end it is deleted where it is empty. The lock
    ends with the process, so that one which was killed keeps nobody waiting.

    Raises:
        OSError: The file cannot be made.
    """
    while True:
        with path.open("ab", buffering=0) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("Another process writes %s; waiting for it.", path)
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _has_name(file, path):  # who had it before has renamed it
                continue
            try:
                yield file
            finally:
                if length_of(file) == 0 and _has_name(file, path):
                    path.unlink()
            return


def length_of(file: FileIO) -> int:
    """Returns how many bytes an open file has now."""
    return os.fstat(file.fileno()).st_size


def _has_name(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
