"""A window in a process of its own, on displays of the tests' own."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from seg.errors import SourceError
from seg.video import loop, window
from seg.video.base import Frame, Processed, Source
from seg.video.interrupts import HeldInterrupts
from seg.video.recorder import Mp4Writer
from seg.video.sources import VideoFile
from seg.video.window import Window

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="about X displays"),
    pytest.mark.skipif(not cv2.currentUIFramework(), reason="this OpenCV has no windows"),
]
COLOR = (10, 20, 200)
IMAGE = np.full((120, 160, 3), COLOR, np.uint8)

# A viewer whose keyboard is a script: "-" no key, "x" the close button, else the key itself.
TYPIST = """
import sys, cv2
from seg.video import viewer
wait, keys, closed = cv2.waitKey, iter({keys!r}), []
def wait_key(ms):
    wait(ms)
    key = next(keys)
    closed.extend([key] * (key == "x"))
    return -1 if key in "-x" else ord(key)
cv2.waitKey = wait_key
cv2.getWindowProperty = lambda *words: 0.0 if closed else 1.0
viewer.main(sys.argv[1], sys.argv[2] == "hold")
"""


@pytest.fixture
def display(tmp_path, monkeypatch):
    """A display of its own: its number, its process, and how many pixels have a color."""
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is not installed")
    ours, theirs = os.pipe()
    command = ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    command += ["-fbdir", str(tmp_path)]
    server = subprocess.Popen(command, pass_fds=[theirs], stderr=subprocess.DEVNULL)
    os.close(theirs)

    def count(color):
        pixels = np.fromfile(tmp_path / "Xvfb_screen0", np.uint8)[-800 * 600 * 4 :]
        return int((pixels.reshape(-1, 4)[:, :3] == color).all(1).sum())

    try:
        ready, _, _ = select.select([ours], [], [], 20)
        number = os.read(ours, 16).decode().strip() if ready else ""
        if not number:
            pytest.skip("Xvfb did not start")
        monkeypatch.setenv("DISPLAY", f":{number}")
        yield SimpleNamespace(number=number, server=server, count=count)
    finally:
        os.close(ours)
        server.kill()
        server.wait()


@pytest.fixture
def typist(tmp_path, monkeypatch, display):
    """Returns a window, given what is typed."""

    def opened(keys, hold=False):
        script = tmp_path / "typist.py"
        script.write_text(TYPIST.format(keys=keys))
        monkeypatch.setattr(window, "VIEWER", script)
        return Window("dinoseg test", hold)

    return opened


def show(sink, image=IMAGE):
    """Shows an image and waits until it was shown."""
    sink.write(Frame(image, 0, 0.0), Processed(image, {}))
    while sink._is_drawing and sink._has_answer(5):
        sink._read_answer()


def test_an_image_is_on_the_screen_and_gone_after(display):
    with Window("dinoseg test") as sink:
        deadline = time.monotonic() + 10
        while display.count(COLOR) < 1000 and time.monotonic() < deadline:
            show(sink)
        assert display.count(COLOR) > 1000 and not sink.closed
    while display.count(COLOR) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert display.count(COLOR) == 0


@pytest.mark.parametrize(
    ("key", "closes"), [("q", True), ("\x1b", True), ("x", True), ("k", False)]
)
def test_q_esc_and_the_close_button_close_it(typist, key, closes):
    with typist(f"--{key}") as sink:
        for _ in range(3):
            assert not sink.closed
            show(sink)
        assert sink.closed is (key != "k")


def test_a_photo_waits_for_a_key(typist):
    with typist("---k--q", hold=True) as sink:
        for closes in (False, True):
            sink.write(Frame(IMAGE, 0, 0.0), Processed(IMAGE, {}))
            assert not sink._is_drawing and sink.closed is closes


def test_an_interrupt_ends_the_wait_for_a_key(typist):
    with typist("-" * 500, hold=True) as sink, pytest.raises(KeyboardInterrupt), HeldInterrupts():
        signal.raise_signal(signal.SIGINT)
        sink.write(Frame(IMAGE, 0, 0.0), Processed(IMAGE, {}))


def test_images_that_come_too_fast_are_left_out_and_wait_for_nothing(typist, monkeypatch):
    with typist("-" * 500) as sink:
        sent = []
        send = sink._send
        monkeypatch.setattr(sink, "_send", lambda image: (sent.append(1), send(image)))
        monkeypatch.setattr(sink, "_has_answer", lambda wait_s: False)
        for index in range(20):
            sink.write(Frame(IMAGE, index, 0.0), Processed(IMAGE, {}))
        assert len(sent) == 1


@pytest.mark.parametrize("name", [None, ":7654"])
def test_no_display_is_an_error_and_no_abort(monkeypatch, name):
    monkeypatch.delenv("DISPLAY", raising=False)
    if name:
        monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(SourceError, match=r"Cannot show a window: .*(?i:display)"):
        Window("x")


def test_an_opencv_without_windows_is_named(tmp_path, monkeypatch):
    script = tmp_path / "headless.py"
    script.write_text(
        "import cv2\nfrom seg.video import viewer\n"
        "cv2.currentUIFramework = lambda: ''\nviewer.main('x', False)\n"
    )
    monkeypatch.setattr(window, "VIEWER", script)
    monkeypatch.setenv("DISPLAY", ":7654")
    with pytest.raises(SourceError, match="this OpenCV has none"):
        Window("x")


def test_a_display_that_dies_is_one_line_and_the_recording_is_kept(display, tmp_path):
    class Endless(Source):
        def __iter__(self):
            index = 0
            while not self.stop.wait(0.01):
                yield Frame(IMAGE, index, index / 25)
                index += 1

    class KillsTheServer:
        tasks = ()

        def __call__(self, frame):
            if frame.index == 10:
                display.server.kill()
            return Processed(frame.image, {})

    sinks = [Window("dinoseg test"), Mp4Writer(tmp_path / "out.mp4", fps=25)]
    with pytest.raises(SourceError, match=f"Display :{display.number} is gone"):
        loop.run(Endless(), KillsTheServer(), sinks)
    with VideoFile(tmp_path / "out.mp4") as recording:
        assert len(list(recording)) >= 10
