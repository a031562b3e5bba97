"""The cache's files: whole or not there, and only their own backbone's."""

import contextlib
import errno
import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write
from seg.training import feature_cache
from seg.training.feature_cache import Cache, default_folder, entry_bytes

ONE = {"arch": "tiny", "layers": (0, 1), "weights": "1"}
OTHER = {"arch": "tiny", "layers": (0, 1), "weights": "2"}
KEY = {"sample": "a", "view": 0, "canvas_hw": (28, 14)}
Usage = namedtuple("Usage", "total used free")


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(2, 1, 5)).astype(np.float16)
    return maps, rng.integers(0, 2, (28, 14), dtype=np.uint8)


def never():
    raise AssertionError("made again")


def check_same(got, expected):
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_what_was_made_once_is_read_after_that(tmp_path):
    cache = Cache(tmp_path, ONE)
    check_same(cache.get(KEY, arrays), arrays())
    check_same(cache.get(KEY, never), arrays())
    check_same(Cache(tmp_path, ONE).get(KEY, never), arrays())
    assert cache.path(KEY).stat().st_size == entry_bytes((2, 1, 5), (28, 14))


def test_writing_to_what_was_read_changes_no_file(tmp_path):
    cache = Cache(tmp_path, ONE)
    cache.get(KEY, arrays)[0][:] = 0
    check_same(cache.get(KEY, never), arrays())


@pytest.mark.parametrize("change", [{"view": 1}, {"sample": "b"}, {"canvas_hw": (14, 28)}])
def test_another_view_is_another_entry(tmp_path, change):
    cache = Cache(tmp_path, ONE)
    cache.get(KEY, arrays)
    assert cache.find({**KEY, **change}) is None


def test_another_backbone_has_its_own_folder_and_takes_no_foreign_file(tmp_path):
    one, other = Cache(tmp_path, ONE), Cache(tmp_path, OTHER)
    one.get(KEY, arrays)
    assert other.find(KEY) is None
    shutil.copy(one.path(KEY), other.path(KEY))
    assert other.find(KEY) is None
    check_same(other.get(KEY, lambda: arrays(1)), arrays(1))
    check_same(one.get(KEY, never), arrays())


@pytest.mark.parametrize("damage", ["cut", "empty", "grown", "flipped", "text", "no header"])
def test_a_damaged_file_is_made_again_with_the_same_bytes(tmp_path, damage):
    path = Cache(tmp_path, ONE).path(KEY)
    Cache(tmp_path, ONE).get(KEY, arrays)
    whole = path.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    path.write_bytes(
        {
            "cut": whole[:-7],
            "empty": b"",
            "grown": whole + b"1",
            "flipped": flipped,
            "text": b"[1]",
            "no header": bytes(len(whole)),
        }[damage]
    )
    assert Cache(tmp_path, ONE).find(KEY) is None
    check_same(Cache(tmp_path, ONE).get(KEY, arrays), arrays())
    assert path.read_bytes() == whole


def test_a_file_that_is_cut_while_the_cache_is_open_is_noticed(tmp_path):
    cache = Cache(tmp_path, ONE)
    cache.get(KEY, arrays)
    whole = cache.path(KEY).read_bytes()
    cache.path(KEY).write_bytes(whole[:-7])
    check_same(cache.get(KEY, arrays), arrays())
    assert cache.path(KEY).read_bytes() == whole


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 9 * 10**9, 10**9))
    cache = Cache(tmp_path, ONE)
    assert cache.reserve(10**8) == 10**9
    with pytest.raises(ArtifactError, match=r"3\.27 GB .*1\.00 GB are free.*--no-cache"):
        cache.reserve(3 * 10**9)
    assert cache.reserve(0) == 10**9


def test_a_disk_that_fills_up_gives_one_line_and_leaves_no_part(tmp_path, monkeypatch):
    cache = Cache(tmp_path, ONE)
    cache.get({**KEY, "view": 1}, arrays)
    real = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *rest):
            self.file.close()

        def write(self, data):
            self.file.write(bytes(data)[:3])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill_up(path, mode="r", **rest):
        file = real(path, mode, **rest)
        return Full(file) if "w" in mode else file

    monkeypatch.setattr(Path, "open", fill_up)
    with pytest.raises(ArtifactError, match="No space left on device; existing entries are intact"):
        cache.get(KEY, arrays)
    kept = {cache.path({**KEY, "view": 1}).name, ".last-used"}
    assert {path.name for path in cache.folder.iterdir()} == kept


def test_what_killed_runs_left_is_dropped_when_it_is_old(tmp_path):
    folder = Cache(tmp_path, ONE).folder
    folder.mkdir(exist_ok=True)
    for name, age_s in (("old", 7200), ("new", 10)):
        part = folder / f".part-{name}.features"
        part.write_text("half")
        os.utime(part, (time.time() - age_s,) * 2)
    Cache(tmp_path, ONE)
    assert [path.name for path in folder.glob("*.features")] == [".part-new.features"]


def test_the_folder_is_the_users_choice(monkeypatch):
    monkeypatch.setenv("DINOSEG_CACHE", "elsewhere")
    assert default_folder() == Path("elsewhere/features")


def test_a_part_of_the_disk_stays_free(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 9 * 10**9, 10**9))
    with pytest.raises(ArtifactError, match="make room"):
        Cache(tmp_path, ONE).reserve(9 * 10**8)


def test_what_the_disk_did_not_keep_is_said(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def flipping(path):
        with atomic_write(path) as part:
            yield part
            content = bytearray(part.read_bytes())
            content[-1] ^= 1
            part.write_bytes(content)

    monkeypatch.setattr(feature_cache, "atomic_write", flipping)
    with pytest.raises(ArtifactError, match="is not as it was written; check the disk"):
        Cache(tmp_path, ONE).get(KEY, arrays)
