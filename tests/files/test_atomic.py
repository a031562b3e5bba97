"""Files are whole or absent."""

import errno
import os
from pathlib import Path

import pytest

from seg import ArtifactError
from seg.files.atomic import atomic_write, check_writable
from tests.conftest import as_user


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


def test_two_writers_of_one_file_have_a_part_each(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first.read_text() == "first"
    assert path.read_text() == "first" and len(list(tmp_path.iterdir())) == 1


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
    with pytest.raises(ArtifactError, match="is not a file"):
        check_writable(tmp_path, overwrite=True)


def test_a_full_disk_is_one_line_however_it_is_met(tmp_path):
    (tmp_path / "a.txt").symlink_to("/dev/full")
    with (
        pytest.raises(ArtifactError, match=r"Cannot write .*b\.txt: No space left on device\."),
        atomic_write(tmp_path / "b.txt"),
    ):
        (tmp_path / "a.txt").write_text("too much")


def test_a_fault_of_an_input_is_not_blamed_on_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "out.txt"):
        (tmp_path / "input.txt").read_text()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_file_has_the_mode_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "a.txt") as part:
            part.write_text("new")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


def test_the_umask_of_other_threads_is_never_touched(tmp_path, monkeypatch):
    """It belongs to the process: while it is 0, another thread's files can be written by anyone."""
    asked = []
    monkeypatch.setattr(os, "umask", lambda mask: asked.append(mask) or 0o022)
    with atomic_write(tmp_path / "a.txt"):
        pass
    assert not asked


def test_a_file_that_appears_meanwhile_is_kept_and_so_is_the_new_one(tmp_path):
    path = tmp_path / "a.tar.gz"
    (tmp_path / "a.tar-2.gz").write_text("a third one")
    with (
        pytest.raises(ArtifactError, match=r"by another program meanwhile; this one is .*-3\.gz"),
        atomic_write(path, overwrite=False) as part,
    ):
        part.write_text("mine")
        path.write_text("theirs")
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert found == {"a.tar.gz": "theirs", "a.tar-2.gz": "a third one", "a.tar-3.gz": "mine"}


def test_without_hard_links_a_file_that_appears_meanwhile_is_kept_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.txt"
    with atomic_write(path, overwrite=False) as part:
        part.write_text("mine")
    assert path.read_text() == "mine"
    with pytest.raises(ArtifactError, match=r"a-2\.txt"), atomic_write(path, overwrite=False):
        pass
    assert path.read_text() == "mine" and (tmp_path / "a-2.txt").exists()


LONG = "n" * 300


@pytest.mark.parametrize("name", [LONG + ".txt", f"{LONG}/a.txt"])
def test_a_name_that_is_too_long_is_one_line_before_any_work(tmp_path, name):
    with pytest.raises(ArtifactError, match=r"^Cannot write .*: File name too long\.$"):
        check_writable(tmp_path / name, overwrite=False)
    with (
        pytest.raises(ArtifactError, match=r"^Cannot write .*: File name too long\.$"),
        atomic_write(tmp_path / name),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_a_folder_is_named_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match=r"Cannot write .*: .*file is not a folder\."):
        check_writable(tmp_path / "file" / "deep" / "a.txt", overwrite=False)
    check_writable(tmp_path / "folder" / "deep" / "a.txt", overwrite=False)
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_may_not_be_written_to_is_named_before_any_work(open_folder):
    check_writable(open_folder / "a.txt", overwrite=False)
    open_folder.chmod(0o555)
    with (
        as_user(),
        pytest.raises(ArtifactError, match=f": the folder {open_folder} does not let you write"),
    ):
        check_writable(open_folder / "deep" / "a.txt", overwrite=False)


def test_a_folder_that_may_not_be_entered_is_named_before_any_work(open_folder):
    (open_folder / "closed").mkdir(mode=0)
    with as_user(), pytest.raises(ArtifactError, match=r"closed/a.txt: Permission denied\.$"):
        check_writable(open_folder / "closed" / "a.txt", overwrite=False)


def test_a_current_folder_that_is_gone_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ArtifactError, match=r"Cannot write a\.txt: No such file or directory\."):
        check_writable(Path("a.txt"), overwrite=False)
