import io
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from seg.errors import SourceError
from seg.imaging.native_stderr import image_complaints
from seg.video.image_folder import ImageFolder


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def gray(value, dtype=np.uint8):
    return np.full((6, 8), value, dtype)


def test_a_folder_comes_sorted_and_what_is_not_an_image_is_named(tmp_path, caplog):
    for name in ("b.png", "a.jpg", "ü c.png"):
        save(tmp_path / name, gray(100))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / ".hidden").write_text("")
    save(tmp_path / "deeper" / "d.png", gray(1))
    frames = list(ImageFolder(str(tmp_path)))
    assert [frame.name for frame in frames] == ["a", "b", "ü c"]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert caplog.messages == [
        f"1 subfolder of {tmp_path} left out; add --recursive to read them",
        f"skipped, not an image: {tmp_path / 'notes.txt'}",
    ]


def test_a_pattern_and_a_file(tmp_path):
    for name in ("a1.png", "a2.png", "b.png", "x/a3.png"):
        save(tmp_path / name, gray(9))
    assert list(ImageFolder(str(tmp_path / "a*.png")).paths) == ["a1", "a2"]
    assert list(ImageFolder(str(tmp_path / "**" / "a*.png")).paths) == ["a1", "a2", "a3"]
    assert list(ImageFolder(str(tmp_path / "b.png")).paths) == ["b"]


def test_files_that_share_a_stem_keep_their_suffix(tmp_path):
    for name in ("a.png", "a.jpg", "b.png"):
        save(tmp_path / name, gray(9))
    assert list(ImageFolder(str(tmp_path)).paths) == ["a.jpg", "a.png", "b"]


def test_two_of_one_name_are_refused(tmp_path):
    for name in ("x/a.png", "y/a.png"):
        save(tmp_path / name, gray(9))
    with pytest.raises(SourceError, match="have one name"):
        ImageFolder(str(tmp_path / "*" / "a.png"))


def test_a_damaged_image_is_listed_and_the_others_come(tmp_path):
    whole = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 9, (50, 50), np.uint8))
    (tmp_path / "b.png").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "c.jpg").write_bytes(b"")
    (tmp_path / "d.jpg").write_bytes(b"\xff\xd8\xffnot a jpeg")
    save(tmp_path / "e.png", gray(5))
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
        (gray(77), [77, 77, 77]),
        (gray(40000, np.uint16), [156, 156, 156]),
        (np.full((6, 8, 3), (1, 2, 3), np.uint8), [1, 2, 3]),
        (np.full((6, 8, 4), (1, 2, 3, 0), np.uint8), [1, 2, 3]),
        (np.full((6, 8, 3), (256, 512, 65535), np.uint16), [1, 2, 255]),
    ],
    ids=["gray", "gray16", "color", "transparent", "color16"],
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


def test_subfolders_are_read_where_that_is_asked_for(tmp_path, caplog):
    for name in ("b.png", "x/b.png", "x/y/c.png", "x/.hidden/d.png"):
        save(tmp_path / name, gray(9))
    source = ImageFolder(str(tmp_path), is_recursive=True)
    assert list(source.paths) == ["b", "x/b", "x/y/c"]
    assert [frame.name for frame in source] == ["b", "x/b", "x/y/c"]
    assert caplog.messages == []


def test_of_several_images_in_a_file_the_first_is_used_and_that_is_said(tmp_path, caplog):
    first, second = PIL.Image.new("RGB", (8, 6), "red"), PIL.Image.new("RGB", (8, 6), "blue")
    for name in ("a.gif", "a.tif", "a.webp", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second, first])
        (frame,) = ImageFolder(str(tmp_path / name))
        assert frame.image[0, 0, 2] > 200 and frame.image[0, 0, 0] < 50
        assert caplog.messages == [f"{tmp_path / name} holds 3 images; the first is used"]
        caplog.clear()
    first.save(tmp_path / "one.tif")
    assert len(list(ImageFolder(str(tmp_path / "one.tif")))) == 1
    assert caplog.messages == []


def damaged(suffix):
    """Returns an image that OpenCV's codecs complain about on stderr."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = bytearray(cv2.imencode(suffix, noise)[1].tobytes())
    data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    return bytes(data)


def test_a_damaged_image_is_one_line_whatever_its_codec_prints(tmp_path, capfd, caplog):
    for suffix in (".png", ".jpg", ".tif", ".webp", ".jp2", ".gif", ".bmp"):
        (tmp_path / f"{suffix[1:]}{suffix}").write_bytes(damaged(suffix))
    source = ImageFolder(str(tmp_path))
    frames = list(source)
    assert len(frames) + len(source.failures) == 7
    assert f"{tmp_path / 'png.png'}: not an image, or damaged" in source.failures
    assert any("jpg.jpg: parts of the image may be wrong (Corrupt" in m for m in caplog.messages)
    assert capfd.readouterr() == ("", "")


def test_what_others_say_while_an_image_is_read_still_comes(capfd):
    with image_complaints() as complaints:
        os.write(2, b"one\nCorrupt JPEG data: 3 extraneous bytes\nlibpng error: x\ntwo")
    assert complaints == ["Corrupt JPEG data: 3 extraneous bytes", "libpng error: x"]
    assert capfd.readouterr().err == "one\ntwo"


def test_what_python_says_while_an_image_is_read_comes_at_once():
    code = """
import os, sys
from seg.imaging.native_stderr import image_complaints
with image_complaints() as complaints:
    os.write(2, b"libpng error: x\\n2")
    print("1", file=sys.stderr)
print("3", file=sys.stderr)
"""
    words = [sys.executable, "-c", code]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    assert run.stderr.split() == ["1", "23"]


def test_names_that_are_not_utf_8_are_read_by_their_suffix(tmp_path, caplog):
    for name in (b"caf\xe9.png", b"caf\xe8"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.write_bytes(cv2.imencode(".png", gray(9))[1].tobytes())
    (frame,) = ImageFolder(str(tmp_path))
    assert os.fsencode(frame.name) == b"caf\xe9"
    assert len(caplog.messages) == 1


def test_a_folder_that_may_not_be_read_is_said_to_be_so(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match="cannot be read: Permission denied"):
        ImageFolder(str(tmp_path))


def test_a_name_that_is_too_long_gives_a_line():
    with pytest.raises(SourceError, match="cannot be read: File name too long"):
        ImageFolder("x" * 5000)


def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch):
    save(tmp_path / "a.png", gray(9))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="There is no file or folder ''"):
        ImageFolder("")


def test_an_address_is_refused_without_its_password():
    with pytest.raises(SourceError, match="is an address") as caught:
        ImageFolder("https://anna:secret@host/a.png?token=secret")
    assert "host/a.png" in str(caught.value) and "secret" not in str(caught.value)


def test_files_that_are_not_wanted_are_not_read(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        save(tmp_path / name, gray(9))
    folder = ImageFolder(str(tmp_path))
    folder.keep(lambda path: path.name != "b.png")
    assert [frame.name for frame in folder] == ["a", "c"] and folder.num_frames == 2
