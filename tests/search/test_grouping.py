"""Clusters of images, and the folders that are written of them."""

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, DataError
from seg.search.grouping import find_clusters, write_clusters
from seg.search.image_index import ImageIndex
from seg.search.update import update
from tests.search.conftest import embed, noise_image


@pytest.fixture
def planted(index: ImageIndex, tmp_path: Path) -> ImageIndex:
    """Images of three scenes, each with some noise: 8, 6 and 4 of them."""
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for scene, count in enumerate((8, 6, 4)):
        (folder / str(scene)).mkdir(parents=True)
        for number in range(count):
            image = noise_image(scene).astype(int) + rng.integers(-30, 30, (60, 80, 3))
            path = folder / str(scene) / f"{number}.png"
            cv2.imwrite(str(path), image.clip(0, 255).astype(np.uint8))
    update(index, [str(folder)], True, embed, lambda: None)
    return index


def scenes(paths: list[str]) -> set[str]:
    return {Path(path).parent.name for path in paths}


def test_planted_scenes_are_found_and_their_number_chosen(planted: ImageIndex) -> None:
    clusters, why = find_clusters(planted, None)
    assert [(one.name, len(one.paths), scenes(one.paths)) for one in clusters] == [
        ("00", 8, {"0"}), ("01", 6, {"1"}), ("02", 4, {"2"}),
    ]  # fmt: skip
    assert why.startswith("3 clusters, whose mean silhouette is the largest (2: 0.")
    assert all(np.diff(one.similarities).max() <= 0 for one in clusters)


def test_a_number_that_is_given_is_taken(planted: ImageIndex) -> None:
    clusters, why = find_clusters(planted, 2)
    assert len(clusters) == 2 and why == "2 clusters, as asked for"


def test_more_clusters_than_images_are_refused(planted: ImageIndex, index: ImageIndex) -> None:
    with pytest.raises(DataError, match="19 clusters need as many images; the index holds 18"):
        find_clusters(planted, 19)


def test_an_empty_index_is_refused(index: ImageIndex) -> None:
    with pytest.raises(DataError, match="holds no image"):
        find_clusters(index, None)


@pytest.mark.parametrize("way", ["list", "link", "copy"])
def test_the_folder_lists_all_and_the_images_stay(
    planted: ImageIndex, tmp_path: Path, way: str
) -> None:
    before = {entry.path: Path(entry.path).read_bytes() for entry in planted.entries}
    clusters, _ = find_clusters(planted, 3)
    assert write_clusters(tmp_path / "out", clusters, way) == []
    rows = list(csv.reader((tmp_path / "out" / "clusters.csv").read_text().splitlines()))
    assert rows[0] == ["cluster", "similarity", "path"]
    listed = {(name, path) for name, _, path in rows[1:]}
    assert listed == {(one.name, path) for one in clusters for path in one.paths}
    assert {path: Path(path).read_bytes() for path in before} == before
    files = list((tmp_path / "out").rglob("*.png"))
    assert len(files) == (0 if way == "list" else 18)
    assert all(path.is_symlink() == (way == "link") for path in files)
    assert sorted(path.read_bytes() for path in files) == (
        [] if way == "list" else sorted(before.values())
    )


def test_images_of_one_name_do_not_replace_each_other(planted: ImageIndex, tmp_path: Path) -> None:
    clusters, _ = find_clusters(planted, 1)
    write_clusters(tmp_path / "out", clusters, "copy")
    copies = list((tmp_path / "out" / "00").iterdir())
    assert len(copies) == len({path.read_bytes() for path in copies}) == 18


def test_a_vanished_image_is_named_and_the_rest_is_done(
    planted: ImageIndex, tmp_path: Path
) -> None:
    gone = Path(planted.entries[0].path)
    gone.unlink()
    clusters, _ = find_clusters(planted, 3)
    assert write_clusters(tmp_path / "out", clusters, "link") == [f"{gone}: not there any more"]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 17


def test_a_folder_that_exists_is_refused_and_a_failed_one_leaves_nothing(
    planted: ImageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clusters, _ = find_clusters(planted, 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(ArtifactError, match="full exists already"):
        write_clusters(tmp_path / "full", clusters, "list")

    def full(*args):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copy2", full)
    with pytest.raises(ArtifactError, match=r"Cannot write .*: No space left on device"):
        write_clusters(tmp_path / "out", clusters, "copy")
    assert {path.name for path in tmp_path.iterdir()} == {"images", "full"}
