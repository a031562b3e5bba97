"""Cameras and streams, live. The one place that opens them with OpenCV."""

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

# FFmpeg's own lines on stderr would drown the one that says what to do.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from seg.errors import SourceError
from seg.imaging.letterbox import Size
from seg.imaging.native_stderr import opencv_silenced
from seg.results import UInt8
from seg.video.addresses import redact
from seg.video.base import Frame, Source
from seg.video.raw_input import RawInput
from seg.video.sources import Recording, VideoFile

log = logging.getLogger("dinoseg")

RETRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 8, 0.5, 10.0
TIMEOUT_MS = 5000
BAD_FRAMES = 30  # damaged frames in a row that are read past; a second of a camera
STALL_S = 1.0  # a read that fails after this long has waited in vain; the next would, too
TRANSPORTS = "tcp", "udp"
CAPTURE_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # the only way to FFmpeg's options


class Camera(Source):
    """A camera of this computer.

    Args:
        device: Its number, 0 is the first, or its path, such as `/dev/video0`.
        frame_hw: The size to ask it for; it takes the nearest that it has, which is said.
        fps: The rate to ask it for, likewise.

    Raises:
        SourceError: The camera cannot be opened or, while it is iterated, stops delivering frames.
    """

    live = True

    def __init__(
        self, device: int | str, frame_hw: Size | None = None, fps: float | None = None
    ) -> None:
        super().__init__()
        self.device = device
        if isinstance(device, int) and device >= 2**31:
            raise SourceError(f"Camera {device} cannot exist; the first is 0.")
        with opencv_silenced():
            self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise SourceError(
                f"Camera {device} cannot be opened: it is not connected, another program uses it, "
                "or this user may not. Try another number, or give a stream's URL or a file."
            )
        if frame_hw:
            self._set_size(frame_hw)
        if fps:
            self._set_fps(fps)

    def _set_fps(self, fps: float) -> None:
        self._capture.set(cv2.CAP_PROP_FPS, fps)
        got = self._capture.get(cv2.CAP_PROP_FPS)
        if abs(got - fps) > 0.5:
            log.info(f"camera {self.device} has no rate of {fps:g} FPS; it says {got:g}")

    def _set_size(self, frame_hw: Size) -> None:
        keys = cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH
        for key, side in zip(keys[::-1], frame_hw[::-1], strict=True):
            self._capture.set(key, side)
        height, width = (round(self._capture.get(key)) for key in keys)
        if (height, width) != frame_hw:
            log.info(
                f"camera {self.device} has no size {frame_hw[1]}x{frame_hw[0]}; "
                f"it delivers {width}x{height}",
            )

    def __iter__(self) -> Iterator[Frame]:
        start, index = None, 0
        while not self.stop.is_set():
            image, num_lost = _next_image(self._capture)
            if image is None:
                raise SourceError(
                    f"Camera {self.device} stopped delivering frames; is it unplugged?"
                )
            now = time.monotonic()
            start = now if start is None else start
            yield Frame(image, index, now - start, discontinuity=num_lost > 0)
            index += 1

    def close(self) -> None:
        """Frees the camera for other programs."""
        self._capture.release()


class Stream(Source):
    """A live stream on the network: RTSP, HTTP, RTMP and what else FFmpeg opens.

    A damaged frame is one frame lost. A stream that breaks off is opened again after 0.5, 1, 2
    ... 10 s, each try said on stderr; it counts as back when a frame comes.

    Args:
        url: `scheme://...`; user, password and query are never shown.
        rtsp_transport: What carries RTSP, `tcp` or `udp`.

    Attributes:
        live: Whether it has no end; a recording at an address is read by `Recording`.

    Raises:
        SourceError: The stream cannot be opened or, while it is iterated, does not come back.
    """

    def __init__(self, url: str, rtsp_transport: str = TRANSPORTS[0]) -> None:
        super().__init__()
        self.url, self.rtsp_transport = url, rtsp_transport
        self.shown = redact(url)
        self._capture = _open_stream(url, rtsp_transport)
        if not self._capture.isOpened():
            raise SourceError(
                f"Could not open the stream {self.shown} within {TIMEOUT_MS // 1000} s: check the "
                "address, the password and that the sender is on."
            )
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self.live = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0

    def __iter__(self) -> Iterator[Frame]:
        start, index, failures = time.monotonic(), 0, 0
        while not self.stop.is_set():
            image, num_lost = _next_image(self._capture)
            if image is None:
                self._reopen(failures)
                failures += 1
            else:
                is_after_gap = index > 0 and (failures > 0 or num_lost > 0)
                yield Frame(image, index, time.monotonic() - start, discontinuity=is_after_gap)
                index, failures = index + 1, 0

    def _reopen(self, failures: int) -> None:
        """Waits and opens the stream again, or gives up; `stop` ends the wait."""
        if failures == RETRIES:
            raise SourceError(
                f"{self.shown} delivered no frame in {RETRIES} tries; is the sender on?"
            )
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**failures)
        log.info(f"no frame from {self.shown}; try {failures + 1} of {RETRIES} in {wait_s:g} s")
        self._capture.release()
        if not self.stop.wait(wait_s):
            self._capture = _open_stream(self.url, self.rtsp_transport)

    def close(self) -> None:
        """Closes the connection."""
        self._capture.release()


def open_source(
    text: str,
    camera_hw: Size | None = None,
    rtsp_transport: str | None = None,
    camera_fps: float | None = None,
) -> Source:
    """Opens what the user named: digits or `/dev/...` a camera, `scheme://` a stream, else a file.

    `-` is raw frames on standard input.

    Args:
        text: What to open.
        camera_hw: The size to ask a camera for, and that of raw frames.
        camera_fps: The rate of both.
        rtsp_transport: What carries RTSP; None is TCP.

    Raises:
        SourceError: It cannot be opened, or an option does not apply to it.
    """
    if not text:
        raise SourceError("There is no file ''.")
    is_number = text.isascii() and text.isdigit()
    is_url = bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text))
    if rtsp_transport and not text.lower().startswith("rtsp"):
        raise SourceError(f"--rtsp-transport is for rtsp:// addresses, not for {redact(text)}.")
    if text == "-":
        if camera_hw is None:
            raise SourceError("--input - reads raw frames; say their size with --camera-size W H.")
        return RawInput(sys.stdin.buffer, camera_hw, camera_fps or 25.0)
    if is_number or (not is_url and _is_device(text)):
        return Camera(int(text) if is_number else text, camera_hw, camera_fps)
    for flag, value in (("--camera-size", camera_hw), ("--camera-fps", camera_fps)):
        if value:
            raise SourceError(f"{flag} is for cameras, not for {redact(text)}.")
    if not is_url:
        return VideoFile(text)
    stream = Stream(text, rtsp_transport or TRANSPORTS[0])
    if stream.live:
        return stream
    stream.close()
    options = {"rtsp_transport": stream.rtsp_transport} if text.lower().startswith("rtsp") else {}
    return Recording(text, stream.shown, False, options, TIMEOUT_MS / 1000)


def _is_device(text: str) -> bool:
    try:
        return Path(text).is_char_device()
    except OSError:  # a name that is too long, which opening the file reports
        return False


def _next_image(capture: cv2.VideoCapture) -> tuple[UInt8 | None, int]:
    """Reads the next image, past damaged ones; returns how many were lost, too."""
    for num_lost in range(BAD_FRAMES):
        start = time.monotonic()
        image = cast("UInt8 | None", capture.read()[1])
        if image is not None:
            return image, num_lost
        if time.monotonic() - start > STALL_S:
            break
    return None, 0


def _open_stream(url: str, rtsp_transport: str) -> cv2.VideoCapture:
    # Without the backend's name OpenCV ignores the timeouts and waits half a minute.
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    with opencv_silenced(), _capture_options(f"rtsp_transport;{rtsp_transport}"):
        parameters = [number for key in timeouts for number in (key, TIMEOUT_MS)]
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)


@contextmanager
def _capture_options(added: str) -> Iterator[None]:
    """Adds to the options that the user may have set for OpenCV's FFmpeg."""
    before = os.environ.get(CAPTURE_OPTIONS)
    os.environ[CAPTURE_OPTIONS] = f"{before}|{added}" if before else added
    try:
        yield
    finally:
        if before is None:
            del os.environ[CAPTURE_OPTIONS]
        else:
            os.environ[CAPTURE_OPTIONS] = before
