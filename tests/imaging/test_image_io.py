"""Reading images and masks: the error names the true cause."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.errors import DataError
from seg.imaging.image_io import PHOTOS, photo, read_image, read_mask
from tests.conftest import as_user

READERS = pytest.mark.parametrize("read", [read_image, read_mask])


def save(path: Path) -> Path:
    Image.fromarray(np.full((4, 5), 1, np.uint8)).save(path)
    return path


@READERS
def test_a_file_without_permission_is_not_called_damaged(read, open_folder: Path) -> None:
    path = save(open_folder / "a.png")
    path.chmod(0)
    with as_user(), pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: cannot be read (Permission denied)"


@READERS
def test_a_file_in_a_folder_without_permission_is_not_called_missing(
    read, open_folder: Path
) -> None:
    (open_folder / "locked").mkdir()
    path = save(open_folder / "locked" / "a.png")
    path.parent.chmod(0)
    with as_user(), pytest.raises(DataError) as caught:
        read(path)
    path.parent.chmod(0o755)
    assert str(caught.value) == f"{path}: cannot be read (Permission denied)"


@READERS
def test_a_folder_in_place_of_a_file_is_named(read, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read(tmp_path)


@pytest.mark.parametrize(("read", "kind"), [(read_image, "image"), (read_mask, "mask")])
def test_a_missing_file_is_named_by_its_kind(read, kind: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"gone\.png: no such {kind}"):
        read(tmp_path / "gone.png")


@READERS
def test_a_damaged_file_is_called_damaged(read, tmp_path: Path) -> None:
    for data in (b"", b"text", save(tmp_path / "a.png").read_bytes()[:50]):
        (tmp_path / "bad.png").write_bytes(data)
        with pytest.raises(DataError, match=r"bad\.png: not an? (image|mask), or damaged"):
            read(tmp_path / "bad.png")


def test_the_photos_are_there() -> None:
    assert all(photo(name).shape[2] == 3 for name in PHOTOS)
