"""Writing files: whole or not at all, and never over another without being asked."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seg.errors import ArtifactError

PART = ".part-"


def check_writable(path: Path, overwrite: bool) -> None:
    """Makes sure, before any work is done, that a file may be written.

    Raises:
        ArtifactError: `path` is not a file, or exists and `overwrite` is off, or its folder does
            not let this user write.
    """
    try:
        _check_absent(path, overwrite)
        folder = next(folder for folder in path.absolute().parents if folder.exists())
    except OSError as error:  # a name that is too long, a current folder that is gone
        raise _failure(path, error) from error
    if not folder.is_dir():
        raise ArtifactError(f"Cannot write {path}: {folder} is not a folder.")
    if not os.access(
        folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    ):
        raise ArtifactError(f"Cannot write {path}: the folder {folder} does not let you write.")


def _check_absent(path: Path, overwrite: bool) -> None:
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is not a file and cannot be replaced; choose another name.")
    if path.exists() and not overwrite:
        raise ArtifactError(
            f"{path} exists already; choose a different --output, or add --overwrite."
        )


def remove_temp_files(folder: Path, age_s: float = 0.0) -> None:
    """Deletes what killed processes had begun to write into a folder.

    Args:
        folder: Where `atomic_write` wrote.
        age_s: What is younger may be written now, and stays.
    """
    for part in folder.glob(f"{PART}*"):
        try:
            if time.time() - part.stat().st_mtime >= age_s:
                part.unlink()
        except OSError:  # its process has just given it its name
            continue


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Gives a temporary path beside `path` that takes its name when the block ends well.

    Readers see the old file or the whole new one; a block that fails leaves nothing behind. The
    temporary name keeps the suffix, since writers choose their format by it.

    Args:
        path: The file to write.
        overwrite: Whether a file of that name is replaced, even one that appears during the block.

    Raises:
        ArtifactError: The folder cannot be written to, the disk is full, or the file exists.
    """
    part = path.parent / f"{PART}{secrets.token_hex(8)}{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Created like any file of the user's: the system applies the umask.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        raise _failure(path, error) from error
    try:
        yield part
        published = publish(part, path, overwrite)
    except OSError as error:
        if error.filename not in (None, str(part)):  # another file's fault, such as an input's
            raise
        raise _failure(path, error) from error  # a full disk, above all
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    if published != path:
        raise ArtifactError(
            f"{path} was made by another program meanwhile; this one is {published}."
        )


def publish(part: Path, path: Path, overwrite: bool) -> Path:
    """Renames a finished file; never replaces another one unless `overwrite` is on.

    Returns:
        `path`, or a free name beside it.
    """
    if overwrite:
        part.replace(path)
        return path
    number, target = 1, path
    while not _rename_new(part, target):
        number += 1
        target = path.with_stem(f"{path.stem}-{number}")
    return target


def _rename_new(part: Path, path: Path) -> bool:
    """Renames where nothing is at `path`; returns False where something is."""
    try:
        path.hardlink_to(part)  # unlike rename, it never replaces
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links, such as FAT
        if path.exists():
            return False
        part.rename(path)
        return True
    with suppress(OSError):  # the file has its name; a second one does no harm
        part.unlink()
    return True


def _failure(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"Cannot write {path}: {error.strerror or error}.")
