"""Only new and changed files are embedded; nothing that was done is lost."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from seg.errors import DataError
from seg.search import update as update_module
from seg.search.image_index import ImageIndex
from seg.search.update import missing, select, update
from tests.search.conftest import embed, noise_image


class Embedding:
    """Counts the images that it embeds."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, images):
        self.count += len(images)
        return embed(images)


def run(index: ImageIndex, folder: Path, embedding=embed):
    return update(index, [str(folder)], True, embedding, lambda: None)


def vector_of(index: ImageIndex, path: Path) -> np.ndarray:
    (row,) = [row for row, entry in enumerate(index.entries) if entry.path == str(path)]
    return index.vectors.vectors[row]


def test_a_second_run_embeds_only_what_is_new_or_changed(index: ImageIndex, photos: Path) -> None:
    counted = Embedding()
    report = run(index, photos, counted)
    assert (report.added, report.changed, report.unchanged, counted.count) == (12, 0, 0, 12)
    assert (run(index, photos, counted).unchanged, counted.count) == (12, 12)
    cv2.imwrite(str(photos / "new.png"), noise_image(50))
    cv2.imwrite(str(photos / "03.png"), noise_image(51, (50, 50)))
    os.utime(photos / "05.png", ns=(1, 1))  # the same bytes, another time
    report = run(index, photos, counted)
    assert (report.added, report.changed, report.unchanged) == (1, 2, 10)
    assert counted.count == 15 and len(index) == 13
    for path in photos.iterdir():
        np.testing.assert_allclose(
            vector_of(index, path), embed([cv2.imread(str(path))])[0], atol=1e-6
        )


def test_an_image_named_twice_is_embedded_once(index: ImageIndex, photos: Path) -> None:
    texts = [str(photos), str(photos / "01.png"), str(photos / ".." / "photos")]
    assert update(index, texts, False, embed, lambda: None).added == 12


def test_a_file_that_changes_while_it_is_read_is_read_again_next_time(
    index: ImageIndex, photos: Path
) -> None:
    path = photos / "00.png"

    def change_then_embed(images):
        os.utime(path, ns=(1, 1))
        return embed(images)

    assert run(index, photos, change_then_embed).added == 12
    assert run(index, photos).changed == 1


def test_what_cannot_be_read_is_named_and_the_rest_is_done(index: ImageIndex, photos: Path) -> None:
    (photos / "03.png").write_bytes(b"no image")
    (photos / "04.png").write_bytes((photos / "04.png").read_bytes()[:100])
    cv2.imwrite(str(photos / "05.png"), np.full((20, 20, 3), 7, np.uint8))
    report = run(index, photos)
    assert report.added == len(index) == 9
    assert sorted(report.failures) == [
        f"{photos / '03.png'}: not an image, or damaged",
        f"{photos / '04.png'}: not an image, or damaged",
        f"{photos / '05.png'}: the network sees nothing in it",
    ]


def test_an_interrupted_run_saves_what_it_has_done(
    index: ImageIndex, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update_module, "BATCH", 4)
    counted, saved = Embedding(), []

    def embed_until_interrupted(images):
        if counted.count == 8:
            raise KeyboardInterrupt
        return counted(images)

    with pytest.raises(KeyboardInterrupt):
        update(index, [str(photos)], False, embed_until_interrupted, lambda: saved.append(1))
    assert len(index) == 8 and saved
    assert run(index, photos).added == 4


def test_where_saving_fails_it_is_not_tried_again(index: ImageIndex, photos: Path) -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        update(index, [str(photos)], False, embed, fail)
    assert len(tries) == 1


def test_progress_says_images_per_second(
    index: ImageIndex, photos: Path, caplog: pytest.LogCaptureFixture, monkeypatch
) -> None:
    monkeypatch.setattr("seg.progress.INTERVAL_S", 0.0)
    run(index, photos)
    said = [line for line in caplog.messages if line.endswith(" images/s")]
    assert any(line.startswith("embedding: 6 of 12") for line in said)
    assert any(line.startswith("12 new, 0 changed, 0 as they were; ") for line in said)


def test_vanished_files_stay_until_they_are_taken_out(index: ImageIndex, photos: Path) -> None:
    run(index, photos)
    (photos / "07.png").unlink()
    run(index, photos)
    assert len(index) == 12
    assert missing(index) == [str(photos / "07.png")]
    assert index.remove(missing(index)) == 1
    assert len(index) == len(index.vectors) == 11


def test_images_are_selected_by_file_folder_and_pattern(
    index: ImageIndex, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos, photos / "inner")
    run(index, photos)
    monkeypatch.chdir(photos)
    assert select(index, ["01.png"]) == [str(photos / "01.png")]
    assert len(select(index, ["inner"])) == 12
    assert len(select(index, ["inner/0?.png", "inner"])) == 12
    assert len(select(index, [str(photos / "inner" / "1*.png")])) == 2
    with pytest.raises(DataError) as caught:
        select(index, ["01.png", "innr", "*.jpg"])
    assert caught.value.faults == ("innr", "*.jpg")
