import io

import cv2
import numpy as np
import PIL.Image
import pytest

from seg.errors import SourceError
from seg.video.image_folder import ImageFolder


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def grey(value, dtype=np.uint8):
    return np.full((6, 8), value, dtype)


def test_a_folder_comes_sorted_and_what_is_no_picture_is_named(tmp_path, caplog):
    for name in ("b.png", "a.jpg", "ü c.png"):
        save(tmp_path / name, grey(100))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("")
    save(tmp_path / "deeper" / "d.png", grey(1))
    frames = list(ImageFolder(str(tmp_path)))
    assert [frame.name for frame in frames] == ["a", "b", "ü c"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert caplog.messages == [f"skipped, not a picture: {tmp_path / 'notes.txt'}"]


def test_a_pattern_and_a_file(tmp_path):
    for name in ("a1.png", "a2.png", "b.png", "x/a3.png"):
        save(tmp_path / name, grey(9))
    assert list(ImageFolder(str(tmp_path / "a*.png")).paths) == ["a1", "a2"]
    assert list(ImageFolder(str(tmp_path / "**" / "a*.png")).paths) == ["a1", "a2", "a3"]
    assert list(ImageFolder(str(tmp_path / "b.png")).paths) == ["b"]


def test_files_that_share_a_stem_keep_their_suffix(tmp_path):
    for name in ("a.png", "a.jpg", "b.png"):
        save(tmp_path / name, grey(9))
    assert list(ImageFolder(str(tmp_path)).paths) == ["a.jpg", "a.png", "b"]


def test_two_of_one_name_are_refused(tmp_path):
    for name in ("x/a.png", "y/a.png"):
        save(tmp_path / name, grey(9))
    with pytest.raises(SourceError, match="have one name"):
        ImageFolder(str(tmp_path / "*" / "a.png"))


def test_a_damaged_picture_is_listed_and_the_others_come(tmp_path):
    whole = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 9, (50, 50), np.uint8))
    (tmp_path / "b.png").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "c.jpg").write_bytes(b"")
    (tmp_path / "d.jpg").write_bytes(b"\xff\xd8\xffnot a jpeg")
    save(tmp_path / "e.png", grey(5))
    source = ImageFolder(str(tmp_path))
    assert [frame.name for frame in source] == ["a", "e"]
    names = ("b.png", "c.jpg", "d.jpg")
    assert source.failures == [f"{tmp_path / name}: not an image, or damaged" for name in names]


@pytest.mark.parametrize("text", ["nothing.png", "none*.png", "."])
def test_nothing_to_read_gives_a_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="There is no"):
        ImageFolder(text)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (grey(77), [77, 77, 77]),
        (grey(40000, np.uint16), [156, 156, 156]),
        (np.full((6, 8, 3), (1, 2, 3), np.uint8), [1, 2, 3]),
        (np.full((6, 8, 4), (1, 2, 3, 0), np.uint8), [1, 2, 3]),
        (np.full((6, 8, 3), (256, 512, 65535), np.uint16), [1, 2, 255]),
    ],
    ids=["grey", "grey16", "colour", "transparent", "colour16"],
)
def test_every_kind_becomes_eight_bit_bgr(tmp_path, image, expected):
    (frame,) = ImageFolder(str(save(tmp_path / "a.png", image)))
    assert frame.image.dtype == np.uint8 and frame.image.shape == (6, 8, 3)
    assert frame.image[0, 0].tolist() == expected


def test_one_pixel_and_a_rotation_mark(tmp_path):
    (frame,) = ImageFolder(str(save(tmp_path / "one.png", np.full((1, 1), 3, np.uint8))))
    assert frame.image.shape == (1, 1, 3)
    marked, data = PIL.Image.new("RGB", (20, 10)), io.BytesIO()
    exif = marked.getexif()
    exif[0x112] = 6  # turned by a quarter
    marked.save(data, "JPEG", exif=exif)
    (tmp_path / "turned.jpg").write_bytes(data.getvalue())
    (frame,) = ImageFolder(str(tmp_path / "turned.jpg"))
    assert frame.image.shape == (20, 10, 3)
