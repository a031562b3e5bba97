"""Locks between open files, which are as those between processes."""

import threading

import pytest

from seg.files.lock import length_of, open_exclusive, open_locked


def test_who_does_not_wait_is_refused_until_the_file_is_closed(tmp_path):
    path = tmp_path / "file"
    with open_exclusive(path, wait=False), pytest.raises(BlockingIOError):
        open_exclusive(path, wait=False)
    open_exclusive(path, wait=False).close()


def test_what_is_in_the_file_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with open_exclusive(path, wait=False) as file:
        file.write(b"A")
    with open_locked(path) as file:
        file.write(b" and after")
        assert length_of(file) == 16
    assert path.read_bytes() == b"Aefore and after"


def test_who_waits_for_a_file_that_is_renamed_gets_a_new_one(tmp_path, caplog):
    path, lengths = tmp_path / "file", []

    def wait():
        with open_locked(path) as file:
            lengths.append(length_of(file))

    caplog.set_level("INFO", "dinoseg")
    thread = threading.Thread(target=wait)
    with open_locked(path) as file:
        file.write(b"whole")
        thread.start()
        while not caplog.messages:
            thread.join(0.01)
        path.rename(tmp_path / "done")
    thread.join(20)
    assert lengths == [0] and (tmp_path / "done").read_bytes() == b"whole"
    assert [message.partition(";")[0] for message in caplog.messages] == [
        f"Another process writes {path}"
    ]
    assert not path.exists()  # since it stayed empty
