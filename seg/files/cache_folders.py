"""Cache folders: one root for all that can be fetched or made again.

`$DINOSEG_CACHE`, else `dinoseg` in `$XDG_CACHE_HOME`, else `~/.cache/dinoseg`. It holds

    datasets/   what was downloaded, until the user deletes it
    weights/
    features/   a folder for each backbone: what it computed of each view
    frames/     a folder for each video: its frames

Features and frames are made again where they are missing. So a folder of them that nobody used for
`UNUSED_DAYS` is deleted when another one beside it is used.
"""

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Literal

from seg.errors import ArtifactError

Kind = Literal["datasets", "weights", "features", "frames"]
VARIABLE = "DINOSEG_CACHE"
UNUSED_DAYS = 30.0
MARK = ".last-used"  # its time says when; only folders that have it are ever deleted
logger = logging.getLogger("dinoseg")


def cache_root() -> Path:
    """Returns the folder that holds every cache; it need not exist.

    Raises:
        ArtifactError: This user has no home folder, and no variable names another.
    """
    if root := os.environ.get(VARIABLE):
        return Path(root)
    if (base := Path(os.environ.get("XDG_CACHE_HOME", ""))).is_absolute():
        return base / "dinoseg"
    try:
        return Path.home() / ".cache" / "dinoseg"
    except RuntimeError as error:
        raise ArtifactError(f"No home folder for caches; set {VARIABLE} to a folder.") from error


def cache_folder(kind: Kind) -> Path:
    """Returns the folder of one kind of cache; it need not exist."""
    return cache_root() / kind


def use_entry(folder: Path) -> None:
    """Makes a folder of features or frames, notes its use, and deletes unused ones beside it.

    Raises:
        ArtifactError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
    except OSError as error:
        raise ArtifactError(f"Cannot make the cache {folder}: {error.strerror}.") from error
    for mark in folder.parent.glob(f"*/{MARK}"):
        try:
            days = (time.time() - mark.stat().st_mtime) / 86_400
        except FileNotFoundError:  # another process deletes it
            continue
        if days > UNUSED_DAYS:
            logger.info("Deleting %s, which was not used for %.0f days.", mark.parent, days)
            shutil.rmtree(mark.parent, ignore_errors=True)
