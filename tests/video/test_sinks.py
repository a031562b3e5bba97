import contextlib
import os
import select
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from seg.errors import ArtifactError, SourceError
from seg.results import Mask
from seg.video import sinks
from seg.video.base import Frame, Processed
from seg.video.sinks import ImageFiles, MaskFolder, Window

IMAGE = np.full((30, 40, 3), (10, 20, 200), np.uint8)
LABELS = np.arange(1200, dtype=np.int64).reshape(30, 40).astype(np.uint8)
PROCESSED = Processed(IMAGE, {"segmentation": Mask(LABELS, ("background", "person"))})


def frame(index, name=""):
    return Frame(IMAGE, index, index / 25, name)


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_masks_are_class_indices_named_by_number_or_by_image(tmp_path):
    with MaskFolder(tmp_path / "new" / "masks") as sink:
        sink.write(frame(0), PROCESSED)
        sink.write(frame(31), PROCESSED)
        sink.write(frame(1, "street"), PROCESSED)
    names = sorted(path.name for path in sink.folder.iterdir())
    assert names == ["000000.png", "000031.png", "street.png"]
    np.testing.assert_array_equal(read(sink.folder / "000031.png"), LABELS)


def test_a_folder_that_holds_files_is_refused(tmp_path):
    (tmp_path / "mine.png").write_text("")
    with pytest.raises(ArtifactError, match="holds files already"):
        MaskFolder(tmp_path)
    with pytest.raises(ArtifactError, match="is a file"):
        MaskFolder(tmp_path / "mine.png")
    MaskFolder(tmp_path, overwrite=True).write(frame(0), PROCESSED)
    assert (tmp_path / "000000.png").exists()


def test_images_go_where_their_names_say(tmp_path):
    sink = ImageFiles({"a": tmp_path / "x" / "a é.png"})
    sink.write(frame(0, "a"), PROCESSED)
    sink.close()
    assert sink.written == [tmp_path / "x" / "a é.png"]
    np.testing.assert_array_equal(cv2.imdecode(np.fromfile(sink.written[0], np.uint8), 1), IMAGE)


def test_an_existing_image_and_an_unknown_format_are_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(ArtifactError, match="--overwrite"):
        ImageFiles({"a": tmp_path / "a.png"})
    with pytest.raises(SourceError, match=r"ends in \.png or \.jpg"):
        ImageFiles({"a": tmp_path / "a.docx"})
    assert (tmp_path / "a.png").read_bytes() == b"mine"


def test_an_opencv_without_windows_is_named(monkeypatch):
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(SourceError, match="this OpenCV has none"):
        Window("x")


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="about X displays")
with_windows = pytest.mark.skipif(
    not cv2.currentUIFramework(), reason="this OpenCV is built without windows"
)


@only_linux
@with_windows
@pytest.mark.parametrize("display", [None, ":7654"])
def test_no_display_is_an_error_and_no_abort(monkeypatch, display):
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(SourceError, match=r"Cannot show a window: .*(?i:display)"):
        Window("x")


@pytest.fixture(scope="module")
def display():
    """A display of its own, on a number that Xvfb picks."""
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is not installed")
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL)
    os.close(theirs)
    try:
        ready, _, _ = select.select([ours], [], [], 20)
        number = os.read(ours, 16).decode().strip() if ready else ""
        if not number:
            pytest.skip("Xvfb did not start")
        yield f":{number}"
    finally:
        os.close(ours)
        server.terminate()
        server.wait()


SHOW = """
import numpy as np, cv2, sys
from seg.video.base import Frame, Processed
from seg.video.sinks import Window
image = np.full((30, 40, 3), 99, np.uint8)
keys = iter([-1, -1, ord(sys.argv[1])])
wait = cv2.waitKey
cv2.waitKey = lambda ms: (wait(ms), next(keys))[1]
with Window("dinoseg test") as window:
    for index in range(3):
        assert not window.closed
        window.write(Frame(image, index, 0.0), Processed(image, {}))
        visible = cv2.getWindowProperty("dinoseg test", cv2.WND_PROP_VISIBLE)
        print(index, window.closed, int(visible))
"""


@only_linux
@with_windows
@pytest.mark.parametrize(("key", "closes"), [("q", True), ("\x1b", True), ("x", False)])
def test_a_window_opens_and_shows_and_q_or_esc_closes_it(display, key, closes):
    child = subprocess.run(
        [sys.executable, "-c", SHOW, key],
        env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines() == ["0 False 1", "1 False 1", f"2 {closes} 1"]


def test_the_close_button_ends_it_and_a_photo_waits_for_a_key(monkeypatch):
    visible, keys, shown = [1, 1, 1, 0, 0], iter([-1, -1, 32, -1, -1]), []
    monkeypatch.setattr(sinks, "_display", contextlib.nullcontext)
    for name, function in {
        "namedWindow": lambda *a: None, "resizeWindow": lambda *a: None,
        "imshow": lambda title, image: shown.append(title), "waitKey": lambda ms: next(keys),
        "getWindowProperty": lambda *a: visible.pop(0), "destroyWindow": lambda title: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(cv2, name, function)
    with Window("w", hold=True) as window:
        window.write(frame(0), PROCESSED)
        assert not window.closed and len(visible) == 2
        window.write(frame(1), PROCESSED)
        assert window.closed and shown == ["w", "w"]
