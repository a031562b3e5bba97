"""Sources: files, cameras and streams. The one place that opens them with OpenCV."""

import os
import re
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
from seg.notes import note
from seg.results import UInt8
from seg.video.base import Frame, Source
from seg.video.mp4 import missing_end

RETRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 8, 0.5, 10.0
TIMEOUT_MS = 5000


class VideoFile(Source):
    """A video file: every frame once, upright as its rotation metadata says, GIF included.

    Args:
        path: The file.

    Raises:
        SourceError: There is no such file, or no picture in it can be read. While it is iterated:
            the file ends before it says it does; every frame that can be read came before.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = _existing_file(Path(path))
        with _quiet():
            self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
            self._first = _read(self._capture)
        if self._first is None:
            raise SourceError(
                f"{self.path} is not a video that can be read: it is another kind of file, or cut "
                "or damaged. Play it to see; if it plays, convert it: "
                "ffmpeg -i INPUT -c:v libx264 -c:a aac new.mp4"
            )
        self.fps = _fps(self._capture)
        self.frame_hw: Size = self._first.shape[0], self._first.shape[1]

    def __iter__(self) -> Iterator[Frame]:
        num_frames, end_s = 0, 0.0
        for frame in _recording(self._capture, self._first, self.fps):
            num_frames, end_s = frame.index + 1, frame.time_s
            yield frame
        self._check_end(num_frames, end_s)

    def _check_end(self, num_frames: int, end_s: float) -> None:
        """Raises SourceError for a cut file; asks the file's own count only where it looks so."""
        promised_s = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) / (self.fps or 25)
        missing_s = missing_end(self.path) if end_s < promised_s - 0.5 else 0.0
        if missing_s > 0:
            raise SourceError(
                f"{self.path} is cut or damaged: its last {missing_s:.1f} s are missing. "
                f"The {num_frames} frames before were read. Copy or download the file again."
            )

    def close(self) -> None:
        """Closes the file."""
        self._capture.release()


class Camera(Source):
    """A camera of this computer.

    Args:
        device: Its number, 0 is the first, or its path, such as `/dev/video0`.

    Raises:
        SourceError: The camera cannot be opened or, while it is iterated, stops to give frames.
    """

    live = True

    def __init__(self, device: int | str) -> None:
        super().__init__()
        self.device = device
        with _quiet():
            self._capture = cv2.VideoCapture(device)
        if not self._capture.isOpened():
            raise SourceError(
                f"Camera {device} cannot be opened: it is not connected, another program uses it, "
                "or this user may not. Try another number, or give a stream's URL or a file."
            )

    def __iter__(self) -> Iterator[Frame]:
        start, index = None, 0
        while not self.stop.is_set():
            image = _read(self._capture)
            if image is None:
                raise SourceError(f"Camera {self.device} gives no more frames; is it unplugged?")
            now = time.monotonic()
            start = now if start is None else start
            yield Frame(image, index, now - start)
            index += 1

    def close(self) -> None:
        """Frees the camera for other programs."""
        self._capture.release()


class Stream(Source):
    """A stream on the network: RTSP, HTTP, RTMP and what else FFmpeg opens.

    A live stream that breaks off is opened again after 0.5, 1, 2 ... 10 s, each try said on
    stderr; it counts as back when a frame comes. A recording has an end, and every frame counts.

    Args:
        url: `scheme://...`; a password in it is never shown.

    Raises:
        SourceError: The stream cannot be opened or, while it is iterated, does not come back.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.shown = re.sub(r"//[^/@]*@", "//***@", url)
        self._capture = _open_stream(url)
        if not self._capture.isOpened():
            raise SourceError(
                f"Nothing to see at {self.shown} within {TIMEOUT_MS // 1000} s: check the address, "
                "the password and that the sender is on."
            )
        self.fps = _fps(self._capture)
        self.live = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0

    def __iter__(self) -> Iterator[Frame]:
        if not self.live:
            yield from _recording(self._capture, _read(self._capture), self.fps)
            return
        start, index, failures = time.monotonic(), 0, 0
        while not self.stop.is_set():
            image = _read(self._capture)
            if image is None:
                self._reopen(failures)
                failures += 1
            else:
                yield Frame(image, index, time.monotonic() - start)
                index, failures = index + 1, 0

    def _reopen(self, failures: int) -> None:
        """Waits and opens the stream again, or gives up; `stop` ends the wait."""
        if failures == RETRIES:
            raise SourceError(f"{self.shown} gave no frame in {RETRIES} tries; is the sender on?")
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**failures)
        note(f"no frame from {self.shown}; try {failures + 1} of {RETRIES} in {wait_s:g} s")
        self._capture.release()
        if not self.stop.wait(wait_s):
            self._capture = _open_stream(self.url)

    def close(self) -> None:
        """Hangs up."""
        self._capture.release()


def open_source(text: str) -> Source:
    """Opens what the user named: digits or `/dev/...` a camera, `scheme://` a stream, else a file.

    Raises:
        SourceError: It cannot be opened.
    """
    if text.isascii() and text.isdigit():
        return Camera(int(text))
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        return Stream(text)
    return Camera(text) if Path(text).is_char_device() else VideoFile(text)


def _read(capture: cv2.VideoCapture) -> UInt8 | None:
    return cast("UInt8 | None", capture.read()[1])


def _fps(capture: cv2.VideoCapture) -> float | None:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return fps if 0 < fps < 1000 else None


def _recording(
    capture: cv2.VideoCapture, first: UInt8 | None, fps: float | None
) -> Iterator[Frame]:
    """Yields every frame with its own timestamp; the count and the rate of a file may be wrong."""
    image, index, time_s, step = first, 0, 0.0, 1 / (fps or 25)
    while image is not None:
        yield Frame(image, index, time_s)
        image = _read(capture)
        stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        # Files without timestamps, and files glued together, do not count upwards.
        time_s = stamp if stamp > time_s else time_s + step
        index += 1


def _open_stream(url: str) -> cv2.VideoCapture:
    # Without the backend's name OpenCV ignores the timeouts and waits half a minute.
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    with _quiet():
        parameters = [number for key in timeouts for number in (key, TIMEOUT_MS)]
        return cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences OpenCV's warnings, which name source lines of OpenCV; the error says it all."""
    logging = cv2.utils.logging
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _existing_file(path: Path) -> Path:
    if path.is_dir():
        raise SourceError(f"{path} is a folder; expected a video file.")
    if not path.exists():
        raise SourceError(f"There is no file {path}.")
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty; copy or download it again.")
    return path
