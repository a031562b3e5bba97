"""Writing files: whole or not at all, and never over another without being asked."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seg.errors import ArtifactError

PART = ".part-"


def check_writable(path: Path, overwrite: bool) -> None:
    """Raises ArtifactError where `path` is no file, or exists and `overwrite` is off."""
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is no file and cannot be replaced; name another.")
    if path.exists() and not overwrite:
        raise ArtifactError(f"{path} exists already; take another --output, or add --overwrite.")


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
def atomic_write(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path` that takes its name when the block ends well.

    Readers see the old file or the whole new one; a block that fails leaves nothing behind. The
    temporary name keeps the suffix, since writers choose their format by it.

    Raises:
        ArtifactError: The folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=PART, suffix=path.suffix)
    except OSError as error:
        raise ArtifactError(f"Cannot write {path}: {error.strerror}.") from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        # mkstemp makes files private; the user's umask decides for a finished one.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except OSError as error:  # a full disk, above all
        raise ArtifactError(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
