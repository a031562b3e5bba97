"""Moving images out of the way: never over another file, and never half."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write, check_writable
from seg.search.duplicates import Group

log = logging.getLogger("dinoseg")
Move = tuple[Path, Path]  # from, to


def plan_moves(paths: Sequence[str], folder: Path) -> list[Move]:
    """Returns where files go: into `folder`, with the folders in which they differ.

    Raises:
        ArtifactError: A file is there already, or `folder` does not let this user write.
    """
    sources = [Path(path) for path in paths]
    if not sources:
        return []
    root = Path(os.path.commonpath([source.parent for source in sources]))
    moves = [(source, folder / source.relative_to(root)) for source in sources]
    for _, target in moves:
        check_writable(target, overwrite=False)
        if os.path.lexists(target):
            raise ArtifactError(f"{target} exists already; choose a different --move-to.")
    return moves


def move_out(moves: Sequence[Move], groups: Sequence[Group]) -> list[str]:
    """Moves what could go; an image whose better copy is gone stays.

    Returns:
        The paths that were moved.

    Raises:
        ArtifactError: A file cannot be moved; it is where it was, and the rest, too.
    """
    keeper = {one.path: group.kept for group in groups for one in group.duplicates}
    moved = []
    for source, target in moves:
        if not Path(keeper[str(source)]).is_file():
            log.warning("%s stays: %s is not there any more", source, keeper[str(source)])
            continue
        move(source, target)
        moved.append(str(source))
    return moved


def move(source: Path, target: Path) -> None:
    """Moves a file; a copy is complete before the original goes, and nothing is replaced.

    Raises:
        ArtifactError: It cannot be moved; it is then where it was.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(source)  # unlike rename, it never replaces
        except FileExistsError:
            raise
        except OSError:  # another file system, or one without hard links
            _copy(source, target)
        source.unlink()
    except OSError as error:
        raise ArtifactError(f"Cannot move {source}: {error.strerror or error}.") from error


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target, overwrite=False) as part:
        shutil.copy2(source, part)
