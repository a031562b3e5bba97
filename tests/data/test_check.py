"""All faults of a data set at once, one line each, before anything starts."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seg.data import Sample, open_dataset
from seg.data.check import check_samples
from seg.errors import DataError
from seg.imaging.image_io import read_image
from seg.results import UInt8

Write = Callable[..., Path]
GRAY = (128, 128, 128)


def test_a_sound_data_set_passes_and_says_what_is_resized(write: Write, tmp_path: Path) -> None:
    write("images/a.jpg", GRAY, (80, 60))
    write("masks/a.png", 1, (80, 60))
    assert check_samples(open_dataset(str(tmp_path)).split("all")) == ()
    write("images/b.jpg", GRAY, (80, 60))
    write("masks/b.png", 1, (40, 30))
    notes = check_samples(open_dataset(str(tmp_path)).split("all"))
    assert notes == ("1 masks are resized to their images, of the same aspect",)


def test_what_codecs_print_about_damaged_images_is_not_on_stderr(
    write: Write, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    for suffix in ("png", "jpg", "tif"):
        for number in range(4):
            path = write(f"images/{suffix}{number}.{suffix}", noise)
            data = bytearray(path.read_bytes())
            data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
            path.write_bytes(data)
            write(f"masks/{suffix}{number}.png", 1, (64, 64))
    with pytest.raises(DataError, match="The data has 4 faults"):  # the PNGs
        check_samples(open_dataset(str(tmp_path)).split("all"))
    assert capfd.readouterr() == ("", "")


def test_damage_that_a_codec_reads_past_is_said(write: Write, tmp_path: Path) -> None:
    path = write("images/a.jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    write("masks/a.png", 1, (64, 64))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    path.write_bytes(data)
    (remark,) = check_samples(open_dataset(str(tmp_path)).split("all"))
    assert "parts of an image may be wrong (Corrupt JPEG data: " in remark


def test_every_fault_is_listed_at_once(write: Write, tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3))
    for stem in ("cut", "good", "sizes", "text", "unmasked", "values", "color", "deep", "twin"):
        write(f"images/{stem}.jpg", noise)
        write(f"masks/{stem}.png", noise[..., 0] > 128)
    whole = (images / "cut.jpg").read_bytes()
    (images / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    write("masks/sizes.png", 0, (64, 40))
    (images / "text.jpg").rename(images / "text.png")
    (images / "text.png").write_text("no image")
    (masks / "text.png").write_text("no mask")
    (masks / "unmasked.png").unlink()
    write("masks/values.png", [[0, 7, 9, 1, 255, 7]])
    write("masks/color.png", noise)
    (masks / "deep.png").write_bytes(b"")
    write("images/twin.png", noise)
    (images / "nothing.jpg").touch()
    write("masks/nothing.png", 0)

    with pytest.raises(DataError) as caught:
        check_samples(open_dataset(str(tmp_path)).split("all"))

    lines = [fault.replace(f"{tmp_path}/", "") for fault in caught.value.faults]
    assert lines == [
        "masks/twin.png: belongs to twin.jpg and twin.png; keep one of them",
        "masks/color.png: a mask is one channel of 8 bits that holds labels; this has mode RGB, "
        "so write its labels in place of its colors",
        "images/cut.jpg: not an image, or damaged",
        "masks/deep.png: not a mask, or damaged",
        "images/nothing.jpg: not an image, or damaged",
        "masks/sizes.png: size 64x40, its image is 64x48",
        "images/text.png: not an image, or damaged",
        "masks/text.png: not a mask, or damaged",
        "masks/unmasked.png: no such mask",
        "masks/values.png: unknown labels 7, 9; expected 0 to 1, and 255 to ignore, "
        "no object numbers and no gray edges",
        "masks/values.png: size 6x1, its image is 64x48",
    ]
    assert str(caught.value).startswith("The data has 11 faults:\n")


def test_a_sample_with_a_fault_does_not_load(write: Write, tmp_path: Path) -> None:
    sample = Sample(write("a.png", GRAY), tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"nowhere\.png: no such mask"):
        sample.load()
    with pytest.raises(DataError, match=r"gone\.jpg: no such image"):
        Sample(tmp_path / "gone.jpg").load()
    with pytest.raises(DataError, match="unknown labels 1; expected 0 and 255"):
        Sample(write("a.png", GRAY), write("m.png", 1)).load()


def test_gray_edges_of_a_binary_mask_are_named_but_not_all(write: Write, tmp_path: Path) -> None:
    write("images/a.jpg", GRAY, (256, 1))
    write("masks/a.png", np.arange(256)[None])
    with pytest.raises(DataError, match=r"unknown labels 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.; expected"):
        check_samples(open_dataset(str(tmp_path)).split("all"))


def test_negatives_need_only_be_images(write: Write, tmp_path: Path) -> None:
    write("a.jpg", GRAY)
    write("a.png", GRAY)
    assert check_samples(open_dataset(f"{tmp_path},negatives").split("all")) == ()
    (tmp_path / "b.jpg").write_text("no image")
    with pytest.raises(DataError, match="The data has 1 fault:"):
        check_samples(open_dataset(f"{tmp_path},negatives").split("all"))


def test_the_same_image_twice_is_no_fault(write: Write) -> None:
    sample = Sample(write("a.png", GRAY), write("m.png", 0))
    assert check_samples([sample, sample]) == ()


def test_the_real_people_photos_pass(data_root: Path) -> None:
    people = open_dataset(f"{data_root / 'people'},val=60,seed=1")
    assert [note.split()[0] for note in check_samples(people.split("all"))] == ["171"]


def test_animations_and_pages_are_said(write: Write, tmp_path: Path) -> None:
    write("plain.gif", GRAY)
    write("plain.jpg", GRAY)
    pages = [Image.new("RGB", (8, 6), (red, 0, 0)) for red in (0, 100, 200)]
    for name in ("pages.tif", "moves.gif", "moves.webp", "moves.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    data = open_dataset(f"{tmp_path},negatives")
    assert check_samples(data.split("all")) == (
        "of 4 images with several frames or pages, such as moves.gif, only the first one is used",
    )


def test_a_phones_jpeg_with_a_preview_is_one_image(tmp_path: Path) -> None:
    photo, preview = Image.new("RGB", (80, 60), GRAY), Image.new("RGB", (8, 6))
    photo.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.n_frames == 2
    assert check_samples(open_dataset(f"{tmp_path},negatives").split("all")) == ()


def test_ctrl_c_does_not_wait_for_the_images_that_are_left(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = write("a.jpg", GRAY), []

    def slow(path: Path) -> UInt8:
        read.append(path)
        time.sleep(0.01)
        return read_image(path)

    def interrupted(items: Iterable[Any], *_: Any) -> Iterator[Any]:
        yield from itertools.islice(items, 1)
        raise KeyboardInterrupt

    monkeypatch.setattr("seg.data.check.read_image", slow)
    monkeypatch.setattr("seg.data.check.track", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_samples([Sample(path)] * 400)
    assert len(read) < 200
