"""One root for every cache, and a rule for what is deleted."""

import os
import time
from pathlib import Path

import pytest

from seg.errors import ArtifactError
from seg.files.cache_folders import cache_folder, cache_root, use_entry
from tests.conftest import as_user

DAY = 86_400


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({}, "/home/someone/.cache/dinoseg"),
        ({"XDG_CACHE_HOME": "/fast"}, "/fast/dinoseg"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/dinoseg"),  # as its standard says
        ({"XDG_CACHE_HOME": "/fast", "DINOSEG_CACHE": "here"}, "here"),
        ({"DINOSEG_CACHE": ""}, "/home/someone/.cache/dinoseg"),
    ],
)
def test_the_root_is_one_and_can_be_moved(monkeypatch, variables, root):
    for name in ("XDG_CACHE_HOME", "DINOSEG_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"HOME": "/home/someone"} | variables).items():
        monkeypatch.setenv(name, value)
    assert cache_root() == Path(root)
    assert cache_folder("frames") == Path(root) / "frames"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("DINOSEG_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ArtifactError, match="set DINOSEG_CACHE to a folder"):
        cache_root()


def test_what_nobody_used_for_thirty_days_is_deleted(tmp_path):
    mine = tmp_path / "kept-for-years-by-hand"
    mine.mkdir()
    (mine / "features").touch()
    os.utime(mine / "features", (0, 0))
    ages = {"recent": 29, "used": 31, "old": 31}
    for name in ages:
        use_entry(tmp_path / name)
        (tmp_path / name / "a.features").touch()
    for name, days in ages.items():
        then = time.time() - days * DAY
        os.utime(tmp_path / name / ".last-used", (then, then))
    use_entry(tmp_path / "used")
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "recent", "used"]
    assert all((tmp_path / name / "a.features").exists() for name in ("recent", "used"))


def test_a_cache_that_cannot_be_made_is_one_line(open_folder):
    with as_user(), pytest.raises(ArtifactError) as raised:
        use_entry(open_folder / "features" / "vits14")
    path = open_folder / "features" / "vits14"
    assert str(raised.value) == f"Cannot make the cache {path}: Permission denied."
