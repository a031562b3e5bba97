import contextlib
import itertools
import os
import re
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np
import pytest

from seg.errors import SourceError
from seg.video import streams
from seg.video.sources import Recording, VideoFile
from seg.video.streams import Camera, Stream, open_source


@contextlib.contextmanager
def serving(respond):
    """Runs a server whose every GET is answered by `respond(handler)`; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with contextlib.suppress(OSError):  # the client has gone
                respond(self)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_name_decides(monkeypatch, clip):
    opened = []

    class Fake:
        live = True

        def __init__(self, kind, what):
            opened.append((kind, what))

    for kind in ("Camera", "Stream"):
        fake = lambda what, *args, kind=kind: Fake(kind, what)  # noqa: E731
        monkeypatch.setattr(streams, kind, fake)
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


def test_a_camera_number_beyond_all_integers_gives_a_line():
    with pytest.raises(SourceError, match="Camera 99999999999999 cannot exist"):
        open_source("99999999999999")


def test_a_name_that_is_too_long_gives_a_line():
    with pytest.raises(SourceError, match="File name too long"):
        open_source("x" * 5000)


class FakeCapture:
    """Stands in for a camera or a live stream: `script` says which reads deliver an image."""

    def __init__(self, script, is_open=True, sizes=((480, 640),)):
        self.script = iter([True] * script if isinstance(script, int) else script)
        self.is_open, self.sizes = is_open, sizes
        self.asked = {}

    def isOpened(self):
        return self.is_open

    def set(self, key, value):
        self.asked[key] = value
        return True

    def get(self, key):
        keys = cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH
        if key in keys:
            wanted = tuple(self.asked.get(k, 0) for k in keys)
            best = min(self.sizes, key=lambda hw: abs(hw[0] - wanted[0]) + abs(hw[1] - wanted[1]))
            return float(best[keys.index(key)])
        return {cv2.CAP_PROP_FPS: 30.0}.get(key, -1.0)

    def read(self):
        delivers = next(self.script, False)
        return (True, np.zeros((4, 4, 3), np.uint8)) if delivers else (False, None)

    def release(self):
        self.is_open = False


def test_a_camera_that_is_unplugged_says_so(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: FakeCapture(3))
    frames = []
    with Camera(0) as camera, pytest.raises(SourceError, match="stopped delivering frames"):
        frames.extend(camera)
    assert camera.live and [frame.index for frame in frames] == [0, 1, 2]


def test_a_camera_is_asked_for_a_size_and_another_one_is_said(monkeypatch, said):
    captures = [FakeCapture(3, sizes=((480, 640), (720, 1280))) for _ in range(2)]
    left = iter(captures)
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: next(left))
    with open_source("0", camera_hw=(720, 1280)):
        asked = {cv2.CAP_PROP_FRAME_WIDTH: 1280, cv2.CAP_PROP_FRAME_HEIGHT: 720}
        assert captures[0].asked == asked
    assert said() == ""
    with open_source("0", camera_hw=(1080, 1920)):
        assert "has no size 1920x1080; it delivers 1280x720" in said()


def test_a_damaged_frame_of_a_camera_is_one_frame_lost(monkeypatch):
    script = [True, True, False, True, False, False, True]
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: FakeCapture(script))
    frames = []
    with Camera(0) as camera, pytest.raises(SourceError, match="stopped delivering frames"):
        frames.extend(camera)
    assert [frame.discontinuity for frame in frames] == [False, False, True, True]


@pytest.fixture
def waits(monkeypatch):
    """Records how long a stream waits, and does not wait."""
    seconds = []
    monkeypatch.setattr(threading.Event, "wait", lambda self, s=None: seconds.append(s))
    return seconds


def test_a_stream_that_breaks_off_is_opened_again_and_then_given_up(monkeypatch, waits, said):
    captures = iter([FakeCapture(2), FakeCapture(0), FakeCapture(3), *[FakeCapture(0)] * 9])
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: next(captures))
    frames = []
    with (
        Stream("rtsp://anna:secret@host/x") as stream,
        pytest.raises(SourceError, match=r"\*\*\*@host/x delivered no frame in 8 tries"),
    ):
        frames.extend(stream)
    assert stream.live and [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.discontinuity for frame in frames] == [False, False, True, False, False]
    assert waits == [0.5, 1, 0.5, 1, 2, 4, 8, 10, 10, 10]
    lines = said()
    assert "try 1 of 8 in 0.5 s" in lines and "secret" not in lines


def test_a_read_that_waits_in_vain_is_not_repeated(monkeypatch, waits):
    clock = iter(range(0, 10_000, 5))
    captures = [FakeCapture(1), *[FakeCapture(0) for _ in range(9)]]
    reads = [0]
    left = iter(captures)

    class Slow(FakeCapture):
        def read(self):
            reads[0] += 1
            return super().read()

    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: Slow(next(left).script))
    monkeypatch.setattr(streams.time, "monotonic", lambda: next(clock))
    with Stream("rtsp://host/x") as stream, pytest.raises(SourceError, match="8 tries"):
        list(stream)
    assert reads == [10]  # one image, then one read for each of nine connections


def test_stop_ends_the_wait_for_a_stream(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *args: FakeCapture(0))
    stream = Stream("rtsp://host/x")
    threading.Timer(0.1, stream.stop.set).start()
    start = time.monotonic()
    assert list(stream) == []
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    "secret_part",
    ["anna:secret@127.0.0.1:9/x", "127.0.0.1:9/x?user=a&password=secret", "secret@127.0.0.1:9/x"],
)
def test_an_address_with_nothing_behind_it_gives_a_line_without_its_secrets(secret_part, capfd):
    with pytest.raises(SourceError, match="Could not open the stream http://") as caught:
        Stream(f"http://{secret_part}")
    assert "127.0.0.1:9/x" in str(caught.value) and "secret" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_bad_jpeg_of_a_live_stream_is_one_frame_lost_and_no_new_connection():
    images = [cv2.imencode(".jpg", np.full((64, 96, 3), i * 6, np.uint8))[1] for i in range(30)]
    requests = []

    def respond(handler):
        requests.append(handler.path)
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        for index, image in enumerate(images):
            data = b"\xff\xd8\xff\xe0 no jpeg" * 9 if index in (10, 11, 20) else image.tobytes()
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            handler.wfile.write(head + data + b"\r\n")

    with serving(respond) as address, open_source(f"{address}/live") as stream:
        assert stream.live
        frames = [frame for _, frame in zip(range(27), stream, strict=False)]
    numbers = [round(frame.image.mean() / 6) for frame in frames]
    assert numbers == [i for i in range(30) if i not in (10, 11, 20)]
    assert [n for n, f in zip(numbers, frames, strict=True) if f.discontinuity] == [12, 21]
    assert requests == ["/live"]


def respond_with(data, promised):
    def respond(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(promised))
        handler.end_headers()
        handler.wfile.write(data)

    return respond


def test_a_recording_on_a_server_has_an_end_and_keeps_every_frame(clip, number_of):
    data = clip.read_bytes()
    with (
        serving(respond_with(data, len(data))) as address,
        open_source(f"{address}/clip.mp4") as source,
    ):
        numbers = [number_of(frame.image) for frame in source]
    assert isinstance(source, Recording) and not source.live and source.damage == ""
    assert numbers == list(range(12))


@pytest.mark.parametrize(("part", "promised"), [(0.6, 1.0), (0.6, 0.6), (1.0, -5)])
def test_a_recording_that_breaks_off_gives_its_frames_and_says_so(
    tmp_path, write_clip, number_of, count_frames, part, promised
):
    path = write_clip(tmp_path / "w.mp4", 50, options={"movflags": "+faststart"}, gop=1)
    data = path.read_bytes()
    sent = data[: int(len(data) * part)]
    length = promised if promised < 0 else int(len(data) * promised)
    with (
        serving(respond_with(sent, length)) as address,
        open_source(f"{address}/w.mp4?password=secret") as source,
    ):
        numbers = [number_of(frame.image) for frame in source]
    if part == 1:
        assert (len(numbers), source.damage) == (50, "")
        return
    (tmp_path / "cut.mp4").write_bytes(sent)
    assert len(numbers) == count_frames(tmp_path / "cut.mp4")
    assert 10 < len(numbers) < 40
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert "w.mp4?*** is cut or damaged: " in source.damage and "secret" not in source.damage


def test_a_matroska_recording_that_ends_early_is_said_by_its_length(tmp_path, write_clip):
    """The server keeps its promise of fewer bytes, and the file cannot be read twice."""
    data = write_clip(tmp_path / "w.mkv", 50, gop=1).read_bytes()
    sent = data[: len(data) * 6 // 10]
    with (
        serving(respond_with(sent, len(sent))) as address,
        open_source(f"{address}/w.mkv") as source,
    ):
        frames = list(source)
    assert 10 < len(frames) < 40
    assert re.search(r"its last [01]\.\d s are missing", source.damage)


def test_a_server_that_falls_silent_is_not_waited_for(tmp_path, write_clip, monkeypatch):
    data = write_clip(
        tmp_path / "w.mp4", 50, options={"movflags": "+faststart"}, gop=1
    ).read_bytes()
    monkeypatch.setattr(streams, "TIMEOUT_MS", 500)
    is_over, was_silent = threading.Event(), []

    def respond(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[: len(data) * 6 // 10])
        was_silent.append(is_over.wait(60))

    with serving(respond) as address, open_source(f"{address}/w.mp4") as source:
        frames = list(source)
        is_over.set()
    assert 10 < len(frames) < 40 and "frames could not be read" in source.damage
    assert was_silent and all(was_silent)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"camera_hw": (480, 640)}, "--camera-size is for cameras, not for clip.mp4"),
        ({"rtsp_transport": "udp"}, "--rtsp-transport is for rtsp:// addresses, not for clip.mp4"),
    ],
)
def test_an_option_that_does_not_apply_is_refused(clip, monkeypatch, options, line):
    monkeypatch.chdir(clip.parent)
    with pytest.raises(SourceError, match=line):
        open_source("clip.mp4", **options)


@pytest.mark.parametrize(
    ("transport", "sent"), [(None, b"RTP/AVP/TCP;unicast"), ("udp", b"RTP/AVP/UDP;unicast")]
)
def test_rtsp_comes_by_tcp_unless_udp_is_asked_for(monkeypatch, transport, sent):
    """A server that knows just enough RTSP to be asked for a transport, and then refuses."""
    monkeypatch.setenv(streams.CAPTURE_OPTIONS, "stimeout;3000000")
    setups = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while line := self.rfile.readline():
                headers = {}
                while (header := self.rfile.readline()) not in (b"\r\n", b""):
                    key, value = header.split(b":", 1)
                    headers[key.lower()] = value.strip()
                body = b""
                status = b"200 OK"
                if line.startswith(b"DESCRIBE"):
                    body = (
                        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
                        b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track\r\n"
                    )
                elif line.startswith(b"SETUP"):
                    setups.append(headers[b"transport"])
                    status = b"461 Unsupported Transport"
                self.wfile.write(
                    b"RTSP/1.0 %s\r\nCSeq: %s\r\nContent-Type: application/sdp\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (status, headers[b"cseq"], len(body), body)
                )

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with pytest.raises(SourceError, match="Could not open the stream"):
            open_source(f"rtsp://127.0.0.1:{server.server_address[1]}/x", rtsp_transport=transport)
        server.shutdown()
        thread.join()
    assert setups and setups[0].startswith(sent)
    assert os.environ[streams.CAPTURE_OPTIONS] == "stimeout;3000000"


def _clip_of(container, count, pace_s=0.0):
    """Encodes gray levels that rise by 8 with each frame: the codec is off by up to 4."""
    stream = container.add_stream("mpeg2video", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    stream.gop_size = 5
    for index in range(count):
        image = np.full((48, 64, 3), 10 + 8 * (index % 30), np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        time.sleep(pace_s)
    container.mux(stream.encode(None))


def test_hls_is_read_segment_by_segment(tmp_path):
    options = {"hls_time": "0.4", "hls_list_size": "0"}
    with av.open(str(tmp_path / "a.m3u8"), "w", format="hls", options=options) as out:
        _clip_of(out, 30)
    assert len(list(tmp_path.glob("*.ts"))) >= 2

    def respond(handler):
        data = (tmp_path / handler.path.lstrip("/")).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with serving(respond) as address, open_source(f"{address}/a.m3u8") as source:
        levels = [round(float(frame.image.mean())) for frame in source]
    assert levels == pytest.approx(range(10, 250, 8), abs=5)


def test_a_transport_stream_by_udp_is_live():
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as free:
        free.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{free.getsockname()[1]}"
    is_done = threading.Event()

    def send():
        while not is_done.is_set():
            with av.open(f"{address}?pkt_size=1316", "w", format="mpegts") as out:
                _clip_of(out, 100, 0.01)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        with open_source(address) as source:
            assert source.live
            frames = list(itertools.islice(source, 20))
    finally:
        is_done.set()
        thread.join()
    steps = np.diff([float(frame.image.mean()) for frame in frames])
    assert all(frame.image.shape == (48, 64, 3) for frame in frames)
    assert np.median(steps) == pytest.approx(8, abs=2)
