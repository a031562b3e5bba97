"""Planted copies are found, whatever was done to them; images that are only alike are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, DataError
from seg.imaging.image_io import PHOTOS, photo
from seg.search.cleanup import move, move_out, plan_moves
from seg.search.duplicates import find_duplicates
from seg.search.image_index import ImageIndex
from seg.search.update import update
from tests.search.conftest import embed, noise_image


def middle(image: np.ndarray, part: float) -> np.ndarray:
    """Cuts out a part of each side, not quite in the middle."""
    height, width = image.shape[:2]
    top, left = int(height * (1 - part) * 0.4), int(width * (1 - part) * 0.6)
    return image[top : top + int(height * part), left : left + int(width * part)]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


CHANGES = {
    "half": lambda i: cv2.resize(i, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "jpeg": lambda i: jpeg(i, 30),
    "mirrored": lambda i: cv2.flip(i, 1),
    "crop": lambda i: middle(i, 0.75),
    "all": lambda i: jpeg(cv2.flip(cv2.resize(middle(i, 0.8), None, fx=0.7, fy=0.7), 1), 60),
}
RELATIONS = {
    "half": "scaled to 50%",
    "jpeg": "the same image",
    "mirrored": "mirrored",
    "crop": "a crop of 56%",
    "all": "mirrored, a crop of 64%, scaled to 70%",
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos, five copies of each, and images that have nothing to do with them."""
    folder = tmp_path_factory.mktemp("gallery")
    for name in PHOTOS:
        image = photo(name)
        cv2.imwrite(str(folder / f"{name}.png"), image)
        for change, apply in CHANGES.items():
            cv2.imwrite(str(folder / f"{name}-{change}.jpg"), apply(image))
    for number in range(10):
        cv2.imwrite(str(folder / f"noise{number}.png"), noise_image(number, (300, 400)))
    return folder


@pytest.fixture
def indexed(index: ImageIndex, gallery: Path) -> ImageIndex:
    update(index, [str(gallery)], False, embed, lambda: None)
    return index


def test_planted_copies_are_found_and_named_and_nothing_else(
    indexed: ImageIndex, gallery: Path
) -> None:
    groups, faults = find_duplicates(indexed, min_similarity=0.0)
    found = {(group.kept, one.path): one.relation for group in groups for one in group.duplicates}
    assert found == {
        (str(gallery / f"{name}.png"), str(gallery / f"{name}-{change}.jpg")): relation
        for name in PHOTOS
        for change, relation in RELATIONS.items()
    }
    assert not faults


@pytest.mark.parametrize("scale", [0.4, 0.85])  # the whole has fewer pixels, and more
def test_a_crop_that_is_sharper_than_the_whole_stays(
    index: ImageIndex, tmp_path: Path, scale: float
) -> None:
    image = photo("coffee")
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "crop.png"), middle(image, 0.75))
    cv2.imwrite(str(tmp_path / "whole.png"), small)
    update(index, [str(tmp_path)], False, embed, lambda: None)
    assert find_duplicates(index, min_similarity=0.0) == ([], [])


def test_the_next_frame_of_a_scene_is_no_copy(index: ImageIndex, tmp_path: Path) -> None:
    """The same background, and something that has moved: both show what the other does not."""
    for number, left in enumerate((100, 300)):
        image = photo("coffee")
        cv2.circle(image, (left, 150), 50, (20, 20, 240), -1)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    update(index, [str(tmp_path)], False, embed, lambda: None)
    assert find_duplicates(index, min_similarity=0.0) == ([], [])


def test_unreadable_images_are_named(indexed: ImageIndex, gallery: Path) -> None:
    indexed.entries = [
        entry._replace(path=entry.path.replace("coffee-half", "gone")) for entry in indexed.entries
    ]
    groups, faults = find_duplicates(indexed, min_similarity=0.0)
    assert faults == [f"{gallery / 'gone.jpg'}: no such image"]
    assert sum(len(group.duplicates) for group in groups) == 19


def test_an_empty_index_is_one_line(index: ImageIndex) -> None:
    with pytest.raises(DataError, match="The index holds no image"):
        find_duplicates(index)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("has_links", [True, False])
def test_moving_keeps_every_byte_and_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    if not has_links:  # another file system

        def refuse(self, target):
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    names = ["a/1.png", "a/b/1.png", "c/1.png"]
    for number, name in enumerate(names):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_bytes(bytes([number]) * 9)
    before = contents(tmp_path / "from")
    for pair in plan_moves([str(tmp_path / "from" / name) for name in names], tmp_path / "to"):
        move(*pair)
    assert contents(tmp_path / "to") == before
    assert contents(tmp_path / "from") == {}


def test_nothing_is_moved_over_another_file(tmp_path: Path) -> None:
    for name in ("x/1.png", "to/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    with pytest.raises(ArtifactError, match=r"to/1\.png exists already"):
        plan_moves([str(tmp_path / "x" / "1.png")], tmp_path / "to")
    with pytest.raises(ArtifactError, match="Cannot move"):
        move(tmp_path / "x" / "1.png", tmp_path / "to" / "1.png")
    assert (tmp_path / "x" / "1.png").read_text() == "x/1.png"
    assert (tmp_path / "to" / "1.png").read_text() == "to/1.png"


def test_a_copy_stays_where_the_image_that_should_stay_is_gone(
    indexed: ImageIndex, gallery: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    groups, _ = find_duplicates(indexed, min_similarity=0.0)
    kept = gallery / "rocket.png"
    moves = plan_moves([str(gallery / "rocket-half.jpg")], tmp_path)
    kept.rename(gallery / "elsewhere")
    try:
        assert move_out(moves, groups) == []
    finally:
        (gallery / "elsewhere").rename(kept)
    assert f"{gallery / 'rocket-half.jpg'} stays: {kept} is not there any more" in caplog.text
    assert (gallery / "rocket-half.jpg").exists()
