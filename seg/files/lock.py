"""Files that one process writes at a time: others wait for it, or are refused."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger("dinoseg")


def open_exclusive(path: Path, *, wait: bool, flags: int = 0) -> FileIO:
    """Opens a file to read and write, for this process alone; makes it where it is missing.

    Closing it ends the lock, and so does the end of the process, however it ends. File systems
    without locks give none.

    Args:
        path: The file.
        wait: Whether to wait for another process that has it.
        flags: More flags of `os.open`, such as `os.O_APPEND`.

    Raises:
        BlockingIOError: Another process has it, and `wait` is off.
        OSError: The file cannot be made.
    """
    while True:
        file = FileIO(path, "r+", opener=lambda name, mode: _make(name, mode | flags))
        try:
            _lock(file, wait)
            if _has_name(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the process that had it before has renamed or deleted it


@contextlib.contextmanager
def open_locked(path: Path) -> Iterator[FileIO]:
    """Opens a file to append to, for this process alone; waits where another has it.

    Whoever has it may rename or delete it. At the end it is deleted where it is empty.

    Raises:
        OSError: The file cannot be made.
    """
    with open_exclusive(path, wait=True, flags=os.O_APPEND) as file:
        try:
            yield file
        finally:
            if length_of(file) == 0 and _has_name(file, path):
                path.unlink()


def length_of(file: FileIO) -> int:
    """Returns how many bytes an open file has now."""
    return os.fstat(file.fileno()).st_size


def _make(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_CREAT, 0o666)


def _lock(file: FileIO, wait: bool) -> None:
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            raise
        logger.info("Another process writes %s; waiting for it.", file.name)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def _has_name(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
