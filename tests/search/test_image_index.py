"""The index's file: it survives what happens to it, and refuses what it cannot hold."""

import dataclasses
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, SegError, SpecMismatch
from seg.features.index import KINDS
from seg.search import update as update_module
from seg.search.image_index import Entry, ImageIndex, locked
from seg.search.update import update
from tests.search.conftest import SOURCE, embed, noise_image


def filled(count: int, seed: int = 0, dimension: int = SOURCE.dimension) -> ImageIndex:
    """An index of random vectors of files that do not exist."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    source = dataclasses.replace(SOURCE, dimension=dimension)
    index = ImageIndex(source, "thumbnail.onnx")
    index.replace([Entry(f"/x/{seed}/{n}.png", n, n) for n in range(count)], vectors)
    return index


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_comes_back(tmp_path: Path, kind: str) -> None:
    index = filled(10_000 if kind == "ivfpq" else 500, dimension=16)
    index.kind = kind
    index.vectors.build(kind)
    index.save(tmp_path / "a.index")
    again = ImageIndex.load(tmp_path / "a.index")
    assert (again.source, again.model, again.kind) == (index.source, index.model, kind)
    assert again.entries == index.entries
    assert again.vectors.kind == kind
    np.testing.assert_array_equal(again.vectors.vectors, index.vectors.vectors)
    queries = index.vectors.vectors[:5]
    np.testing.assert_array_equal(
        again.vectors.search(queries, 3)[1], index.vectors.search(queries, 3)[1]
    )


def test_names_of_any_bytes_come_back(tmp_path: Path, index: ImageIndex) -> None:
    name = os.fsdecode(b"/x/\xff \n\xe4.png")
    index.replace([Entry(name, 1, 2)], filled(1).vectors.vectors)
    index.save(tmp_path / "a.index")
    assert ImageIndex.load(tmp_path / "a.index").entries == [Entry(name, 1, 2)]


def test_a_cut_or_damaged_index_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.index"
    filled(50).save(path)
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:-1], whole[:200], b"", whole[:2000] + b"x"):
        path.write_bytes(data)
        with pytest.raises(ArtifactError) as caught:
            ImageIndex.load(path)
        assert str(caught.value) == (
            f"{path} is cut or damaged; make it again with search_images.py index."
        )


def test_an_index_of_another_version_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.index"
    filled(5).save(path)
    path.write_bytes(path.read_bytes().replace(b"dinoseg index 1\n", b"dinoseg index 2\n"))
    with pytest.raises(ArtifactError, match="made by another version of dinoseg; make it again"):
        ImageIndex.load(path)


def test_an_index_without_a_field_is_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.index"
    with monkeypatch.context() as older:
        older.setattr(dataclasses, "asdict", lambda source: {"arch": "thumbnail"})
        filled(5).save(path)
    with pytest.raises(ArtifactError, match="made by another version of dinoseg; make it again"):
        ImageIndex.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weights_id", "f" * 64),
        ("layers", "9"),
        ("input_hw", (8, 16)),
        ("pooling", "mean"),
        ("fit", "center_crop"),
    ],
)
def test_vectors_of_another_source_are_refused_in_one_line(field: str, value: object) -> None:
    other = dataclasses.replace(SOURCE, **{field: value})
    with pytest.raises(SpecMismatch, match=rf"a\.index holds vectors of {field} \S+; .*") as caught:
        SOURCE.check_same(other, Path("a.index"))
    assert "\n" not in str(caught.value)
    SOURCE.check_same(dataclasses.replace(SOURCE), Path("a.index"))


def test_an_image_that_is_added_again_replaces_the_old_one(index: ImageIndex) -> None:
    first, second = filled(3), filled(3, seed=1)
    index.replace(first.entries, first.vectors.vectors)
    newer = Entry(first.entries[1].path, 99, 99)
    index.replace([newer], second.vectors.vectors[:1])
    assert index.entries == [first.entries[0], first.entries[2], newer]
    expected = np.stack([*first.vectors.vectors[[0, 2]], second.vectors.vectors[0]])
    np.testing.assert_array_equal(index.vectors.vectors, expected)


def in_child(work: Callable[[], object]) -> int:
    """Starts a process that works; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except SegError:
        code = 2
    finally:
        os._exit(code)


def test_killed_at_any_moment_it_is_whole_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index is 6 MB, saved after every 4 images: most kills meet it being written."""
    path, photos = tmp_path / "a.index", tmp_path / "photos"
    photos.mkdir()
    for number in range(400):
        cv2.imwrite(str(photos / f"{number:03}.png"), noise_image(number, (16, 16)))
    base = filled(8000)
    base.save(path)
    monkeypatch.setattr(update_module, "BATCH", 4)
    monkeypatch.setattr(update_module, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(update_module, "PAUSE", 0)

    def run() -> None:
        with locked(path):
            index = ImageIndex.load(path)
            update(index, [str(photos)], False, embed, lambda: index.save(path))

    draw, counts, num_partial, sizes = random.Random(0), [len(base)], 0, set()
    for _ in range(300):  # until kills have met it being written, and at different sizes
        pid = in_child(run)
        time.sleep(draw.uniform(0, 0.2))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        counts.append(len(ImageIndex.load(path)))  # every byte is checked
        assert counts[-1] >= counts[-2]
        for part in tmp_path.glob(".part-*"):
            part.unlink()
            num_partial += 1
        sizes.add(counts[-1])
        if num_partial >= 5 and len(sizes) > 5:
            break
        if counts[-1] == len(base) + 400:
            base.save(path)
            counts.append(len(base))
    assert num_partial >= 5 and len(sizes) > 5
    run()
    index = ImageIndex.load(path)
    assert index.entries[: len(base)] == base.entries
    assert len({entry.path for entry in index.entries}) == len(index) == 8400
    for entry, vector in list(zip(index.entries, index.vectors.vectors, strict=True))[8000:]:
        np.testing.assert_allclose(vector, embed([cv2.imread(entry.path)])[0], atol=1e-6)


def test_two_processes_that_add_at_once_lose_nothing_and_readers_see_whole_files(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.index"
    filled(5000).save(path)

    def add(seed: int) -> None:
        for number in range(5):
            with locked(path):
                index = ImageIndex.load(path)
                new = filled(20, seed=100 * seed + number)
                index.replace(new.entries, new.vectors.vectors)
                index.save(path)

    children = [in_child(lambda seed=seed: add(seed)) for seed in (1, 2)]
    deadline = time.monotonic() + 60
    sizes = [5000]
    while sizes[-1] < 5200 and time.monotonic() < deadline:
        sizes.append(len(ImageIndex.load(path)))
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0, 0]
    assert sizes[-1] == 5200 and sizes == sorted(sizes)
    assert len(set(sizes)) > 2
    assert list(tmp_path.iterdir()) == [path]  # the lock is gone, too


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="is not a folder"), locked(tmp_path / "file" / "a"):
        raise AssertionError("reached")
