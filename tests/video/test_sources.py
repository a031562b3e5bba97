import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from seg.errors import SourceError
from seg.video import sources
from seg.video.sources import Camera, Stream, VideoFile, open_source


def test_every_frame_comes_once_and_in_order(clip, number_of):
    with VideoFile(clip) as source:
        frames = list(source)
        assert (source.fps, source.frame_hw, source.live) == (25, (64, 96), False)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(12) / 25, atol=1e-9)


def test_a_variable_rate_keeps_its_timestamps(tmp_path, write_clip):
    times = [0, 0.04, 0.08, 0.5, 0.54, 2.0, 2.04]
    path = write_clip(tmp_path / "vfr.mp4", 7, times=[Fraction(str(t)) for t in times])
    with VideoFile(path) as source:
        np.testing.assert_allclose([frame.time_s for frame in source], times, atol=1e-4)


@pytest.mark.parametrize(("rotation", "clockwise"), [(90, 3), (-90, 1), (180, 2)])
def test_rotation_metadata_is_honoured(tmp_path, write_clip, numbered, rotation, clockwise):
    path = write_clip(tmp_path / "turned.mp4", 3, rotation=rotation)
    with VideoFile(path) as source:
        frames = list(source)
    upright = [np.rot90(numbered(i), -clockwise) for i in range(3)]
    assert source.frame_hw == upright[0].shape[:2]
    for frame, expected in zip(frames, upright, strict=True):
        assert np.abs(frame.image.astype(int) - expected).mean() < 4


def test_a_gif_is_a_video(tmp_path):
    writer = cv2.Animation()
    writer.frames = [np.full((20, 30, 3), 60 * i, np.uint8) for i in range(4)]
    writer.durations = np.array([100, 100, 300, 100])
    cv2.imwriteanimation(str(tmp_path / "a.gif"), writer)
    with VideoFile(tmp_path / "a.gif") as source:
        frames = list(source)
    assert [round(frame.image.mean() / 60) for frame in frames] == [0, 1, 2, 3]
    np.testing.assert_allclose([frame.time_s for frame in frames], [0, 0.1, 0.2, 0.5], atol=0.011)


def test_time_grows_where_files_are_glued_together(tmp_path, write_clip):
    parts = [write_clip(tmp_path / f"{i}.ts", 5).read_bytes() for i in range(2)]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    with VideoFile(tmp_path / "both.ts") as source:
        times = [frame.time_s for frame in source]
    assert len(times) == 10 and (np.diff(times) > 0).all()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.mp4", b"hello\n" * 50, "not a video that can be read"),
        ("empty.mp4", b"", "is empty"),
        ("folder", None, "is a folder"),
    ],
)
def test_what_is_no_video_gives_a_line(tmp_path, name, content, words, capfd):
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        VideoFile(path)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"There is no file .*nothing\.mp4"):
        VideoFile(tmp_path / "nothing.mp4")


def test_sound_alone_is_no_video(tmp_path, write_clip):
    import av

    with av.open(str(tmp_path / "tone.m4a"), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        samples.sample_rate = 8000
        out.mux(stream.encode(samples))
        out.mux(stream.encode(None))
    with pytest.raises(SourceError, match="not a video"):
        VideoFile(tmp_path / "tone.m4a")


def test_a_cut_file_gives_what_is_there_and_then_says_so(tmp_path, write_clip, number_of):
    whole = write_clip(tmp_path / "w.mp4", 50, options={"movflags": "+faststart"}).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    frames = []
    with (
        pytest.raises(SourceError, match=r"cut or damaged: its last \d\.\d s are missing"),
        VideoFile(tmp_path / "cut.mp4") as source,
    ):
        frames.extend(number_of(frame.image) for frame in source)
    assert 5 < len(frames) < 50
    assert frames[:-1] == list(range(len(frames) - 1))


def test_a_last_picture_that_stays_is_no_cut(tmp_path, write_clip):
    path = write_clip(tmp_path / "long.mp4", 3, times=[0, 2, 2.04], sound_s=4.0)
    with VideoFile(path) as source:
        assert len(list(source)) == 3


def test_the_name_decides(monkeypatch, clip):
    opened = []
    for kind in ("Camera", "Stream"):
        monkeypatch.setattr(sources, kind, lambda what, kind=kind: opened.append((kind, what)))
    for text in ("0", "12", "rtsp://host/x", "http://host:1/y", "/dev/null"):
        open_source(text)
    assert opened == [
        ("Camera", 0),
        ("Camera", 12),
        ("Stream", "rtsp://host/x"),
        ("Stream", "http://host:1/y"),
        ("Camera", "/dev/null"),
    ]
    with open_source(str(clip)) as source:
        assert isinstance(source, VideoFile)


def test_a_camera_that_is_not_there_gives_a_line(capfd):
    with pytest.raises(SourceError, match="Camera 99 cannot be opened"):
        Camera(99)
    assert capfd.readouterr().err == ""


class FakeCapture:
    """Stands in for a camera or a live stream: some frames, then nothing."""

    def __init__(self, num_frames, is_open=True):
        self.left, self.is_open = num_frames, is_open

    def isOpened(self):
        return self.is_open

    def get(self, key):
        return {cv2.CAP_PROP_FPS: 30.0}.get(key, -1.0)

    def read(self):
        self.left -= 1
        return (True, np.zeros((4, 4, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self):
        self.is_open = False


def test_a_camera_that_is_unplugged_says_so(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: FakeCapture(3))
    frames = []
    with Camera(0) as camera, pytest.raises(SourceError, match="no more frames"):
        frames.extend(camera)
    assert camera.live and [frame.index for frame in frames] == [0, 1, 2]


@pytest.fixture
def waits(monkeypatch):
    """Records how long a stream waits, and does not wait."""
    seconds = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, s=None: seconds.append(s))
    return seconds


def test_a_stream_that_breaks_off_is_opened_again_and_then_given_up(monkeypatch, waits, capsys):
    captures = iter([FakeCapture(2), FakeCapture(0), FakeCapture(3), *[FakeCapture(0)] * 9])
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: next(captures))
    frames = []
    with (
        Stream("rtsp://anna:secret@host/x") as stream,
        pytest.raises(SourceError, match=r"\*\*\*@host/x gave no frame in 8 tries"),
    ):
        frames.extend(stream)
    assert stream.live and [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert waits == [0.5, 1, 0.5, 1, 2, 4, 8, 10, 10, 10]
    said = capsys.readouterr().err
    assert "try 1 of 8 in 0.5 s" in said and "secret" not in said


def test_stop_ends_the_wait_for_a_stream(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: FakeCapture(0))
    stream = Stream("rtsp://host/x")
    threading.Timer(0.1, stream.stop.set).start()
    start = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - start < 10


def test_an_address_with_nothing_behind_it_gives_a_line(capfd):
    with pytest.raises(SourceError, match="Nothing to see at http://127"):
        Stream("http://127.0.0.1:9/clip.mp4")
    assert capfd.readouterr().err == ""


def test_a_recording_on_a_server_has_an_end_and_keeps_every_frame(clip, number_of):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(clip.stat().st_size))
            self.end_headers()
            self.wfile.write(clip.read_bytes())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with Stream(f"http://127.0.0.1:{server.server_port}/clip.mp4") as stream:
            numbers = [number_of(frame.image) for frame in stream]
        server.shutdown()
        thread.join()
    assert not stream.live
    assert numbers == list(range(12))
