"""RawInput: frames as bare bytes, from another program."""

import os
import select
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from seg.errors import SourceError
from seg.imaging.letterbox import Size
from seg.video.base import Frame, Source

WAIT_S = 0.2  # between two looks for the end
CHUNK = 1 << 20


class RawInput(Source):
    """Reads images of `H * W * 3` bytes, BGR, rows from the top: FFmpeg's bgr24. None is dropped.

    Args:
        file: Such as `sys.stdin.buffer`; nothing may have been read from it. Stays the caller's.
        frame_hw: The size of all images.
        fps: Their rate, which gives their times.

    Raises:
        SourceError: It is a terminal.
    """

    stage = "read"

    def __init__(self, file: BinaryIO, frame_hw: Size, fps: float = 25.0) -> None:
        super().__init__()
        if file.isatty():
            raise SourceError("--input - reads raw frames; pipe them in, as ffmpeg -f rawvideo.")
        self._fd, self.frame_hw, self.fps = file.fileno(), frame_hw, fps

    def __iter__(self) -> Iterator[Frame]:
        height, width = self.frame_hw
        size, index = height * width * 3, 0
        while data := self._read(size):
            if len(data) < size:
                if not self.stop.is_set():
                    self.damage = (
                        f"standard input ended within frame {index}: {len(data)} of {size} bytes; "
                        f"are frames {width}x{height} bgr24?"
                    )
                return
            image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            assert self.fps is not None
            yield Frame(image, index, index / self.fps)
            index += 1

    def close(self) -> None:
        """Does nothing: the file is the caller's."""

    def _read(self, size: int) -> bytearray:
        """Reads so many bytes; fewer at the end, and where it is told to stop."""
        data = bytearray()
        while len(data) < size and not self.stop.is_set():
            # Windows cannot ask a pipe, and waits.
            if sys.platform != "win32" and not select.select([self._fd], [], [], WAIT_S)[0]:
                continue
            chunk = os.read(self._fd, min(CHUNK, size - len(data)))
            if not chunk:
                break
            data += chunk
        return data
