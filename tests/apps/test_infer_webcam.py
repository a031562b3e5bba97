from typing import ClassVar

import av
import cv2
import numpy as np
import pytest

from seg import cli
from seg.errors import SourceError
from seg.video import window
from seg.video.sources import VideoFile


class FakeCamera:
    """Delivers red squares for ever."""

    asked: ClassVar = {}

    def __init__(self, device, *parameters):
        assert device == 1

    def set(self, key, value):
        self.asked[key] = value

    def get(self, key):
        return {cv2.CAP_PROP_FRAME_WIDTH: 96.0, cv2.CAP_PROP_FRAME_HEIGHT: 64.0}[key]

    def isOpened(self):
        return True

    def read(self):
        image = np.full((64, 96, 3), 120, np.uint8)
        image[16:32, 8:24] = (20, 20, 240)
        return True, image

    def release(self):
        pass


@pytest.fixture
def app(load_app):
    return load_app("infer_webcam")


@pytest.fixture
def infer(app, tiny, here):
    return lambda *words: cli.run(app.main, [*map(str, words), "--model", str(tiny)])


@pytest.fixture
def no_window(monkeypatch):
    def refuse(title):
        raise SourceError("Cannot show a window: DISPLAY is not set.")

    monkeypatch.setattr(window, "Window", refuse)


def record(infer, monkeypatch, *words):
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", FakeCamera)
        return infer("--input", 1, "--max-frames", 5, *words)


def test_a_camera_is_recorded_where_there_is_no_display(
    infer, here, monkeypatch, no_window, capsys
):
    assert record(infer, monkeypatch, "--output", "out.mp4", "--save-masks", "masks") == 0
    out, err = capsys.readouterr()
    assert "DISPLAY is not set" in err
    assert out.splitlines()[:2] == ["out.mp4", "masks"] and "5 frames in" in out
    with VideoFile(here / "out.mp4") as recording:
        assert len(list(recording)) == 5
    masks = sorted((here / "masks").iterdir())
    assert len(masks) == 5
    assert cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED)[17:31, 9:23].all()


def test_without_window_and_output_there_is_nothing_to_do(infer, no_window, capsys):
    assert infer("--input", 1) == 1
    assert capsys.readouterr().err == "error: Cannot show a window: DISPLAY is not set.\n"


def test_a_window_that_was_asked_for_is_an_error_even_with_an_output(infer, here, no_window):
    assert infer("--input", 1, "--show", "--output", "out.mp4") == 1
    assert list(here.iterdir()) == []


def test_no_show_alone_measures(infer, monkeypatch, capsys):
    assert record(infer, monkeypatch, "--no-show") == 0
    assert "segment" in capsys.readouterr().out


def test_a_camera_is_asked_for_a_size(infer, monkeypatch, capsys):
    monkeypatch.setattr(FakeCamera, "asked", {})
    assert record(infer, monkeypatch, "--no-show", "--camera-size", 1280, 720) == 0
    assert FakeCamera.asked == {cv2.CAP_PROP_FRAME_WIDTH: 1280, cv2.CAP_PROP_FRAME_HEIGHT: 720}
    assert "camera 1 has no size 1280x720; it delivers 96x64" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--camera-size", 640, 480], ["--rtsp-transport", "udp"]])
def test_a_flag_that_does_not_apply_is_an_error(infer, clip, here, words, capsys):
    assert infer("--input", clip, "--no-show", "--output", "out.mp4", *words) == 1
    assert f"error: {words[0]} is for " in capsys.readouterr().err
    assert not (here / "out.mp4").exists()


def test_an_empty_name_is_an_error(infer, here, capsys):
    assert infer("--input", "", "--no-show") == 1
    assert capsys.readouterr().err == "error: There is no file ''.\n"


def test_a_damaged_recording_is_kept_as_far_as_it_goes_and_said(infer, here, clip, capsys):
    with av.open(str(clip)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
    data = bytearray(clip.read_bytes())
    for packet in packets[-3:]:
        data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    clip.write_bytes(data)
    assert infer("--input", clip, "--no-show", "--output", "out.mp4") == 1
    out, err = capsys.readouterr()
    assert "clip.mp4 is cut or damaged: 3 frames could not be read" in err.splitlines()[-1]
    assert "7 frames in" in out
    with VideoFile(here / "out.mp4") as recording:
        assert len(list(recording)) == 7


def test_a_file_plays_too(infer, clip, here, capsys):
    assert infer("--input", clip, "--no-show", "--output", "out.mp4") == 0
    assert "10 frames in" in capsys.readouterr().out


def test_a_camera_that_is_not_there_leaves_no_file(infer, here, capsys):
    assert infer("--input", 98, "--no-show", "--output", "new/out.mp4") == 1
    assert "error: Camera 98 cannot be opened" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_a_model_that_is_missing_leaves_no_folder(app, here, capsys):
    words = ["--input", "1", "--no-show", "--output", "new/out.mp4", "--model", "none.onnx"]
    assert cli.run(app.main, words) == 1
    assert "none.onnx" in capsys.readouterr().err
    assert list(here.iterdir()) == []
