"""Files are whole or absent."""

import errno

import pytest

from seg import ArtifactError
from seg.files.atomic import atomic_write, check_writable
from seg.files.checksum import sha256_of
from seg.imaging.image_io import PHOTOS, photo


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as part:
        part.write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ArtifactError, match="Cannot write"),
        atomic_write(tmp_path / "file" / "x.txt"),
    ):
        pass


def test_overwriting_must_be_asked_for(tmp_path):
    check_writable(tmp_path / "none", overwrite=False)
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "file", overwrite=True)
    with pytest.raises(ArtifactError, match="--overwrite"):
        check_writable(tmp_path / "file", overwrite=False)


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ArtifactError, match="No space left"), atomic_write(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_is_never_overwritten(tmp_path):
    with pytest.raises(ArtifactError, match="no file"):
        check_writable(tmp_path, overwrite=True)


def test_sha256_of_abc(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_the_photos_are_there():
    assert all(photo(name).shape[2] == 3 for name in PHOTOS)
