"""Window: shows images in a process of its own, whose end does no harm."""

import os
import select
import subprocess
import sys
from pathlib import Path

from seg.errors import SourceError
from seg.imaging.letterbox import hw_of
from seg.results import UInt8
from seg.video import viewer
from seg.video.base import Frame, Processed, Sink
from seg.video.interrupts import interrupts_pending

NO_WINDOW = "Cannot show a window: "
VIEWER = Path(viewer.__file__)
WAIT_S = 0.2  # between two looks for an interrupt


class Window(Sink):
    """Shows images in a window; q, Esc or its close button ends the loop.

    The newest image wins: one that comes while the last one is still being drawn is left out.

    Args:
        title: The window's title.
        hold: Whether each image waits for a key; for photos.

    Raises:
        SourceError: There is no display, or this OpenCV has no windows.
    """

    stage = "show"

    def __init__(self, title: str, hold: bool = False) -> None:
        self._hold = hold
        self._display = os.environ.get("DISPLAY", "")
        self._is_drawing = False
        if sys.platform == "linux" and not self._display:
            raise SourceError(f"{NO_WINDOW}DISPLAY is not set. Use --no-show and give --output.")
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self._child = subprocess.Popen(
            # -P: the folder of the file is no place to import from.
            [sys.executable, "-P", str(VIEWER), title, "hold" if hold else "go on"],
            stdin=pipe, stdout=pipe, stderr=null, bufsize=0,
            start_new_session=True,  # Ctrl-C is for this process
        )  # fmt: skip
        assert self._child.stdin is not None and self._child.stdout is not None
        self._to_child, self._from_child = self._child.stdin, self._child.stdout
        if (answer := self._from_child.readline()) != viewer.READY:
            self.close()
            if answer == viewer.NO_GUI:
                raise SourceError(
                    f"{NO_WINDOW}this OpenCV has none; uninstall opencv-python-headless and "
                    "opencv-python, then install opencv-python."
                )
            raise SourceError(
                f"{NO_WINDOW}display {self._display} does not answer. "
                "Use --no-show and give --output."
            )

    def write(self, frame: Frame, processed: Processed) -> None:
        """Shows the image and learns of the keyboard.

        Raises:
            SourceError: The display is gone.
        """
        if self._is_drawing and not self._has_answer(0.0):
            return
        self._read_answer()
        if not self.closed:
            self._send(processed.image)
        while self._hold and not self.closed and not interrupts_pending():
            if self._has_answer(WAIT_S):
                self._read_answer()
                break

    def close(self) -> None:
        """Takes the window away."""
        self._child.kill()  # it may wait for a key, or for a display that hangs
        self._child.wait()
        self._to_child.close()
        self._from_child.close()

    def _send(self, image: UInt8) -> None:
        try:
            for part in (viewer.HEADER.pack(*hw_of(image)), image.data.cast("B")):
                rest = memoryview(part)
                while rest:
                    rest = rest[self._to_child.write(rest) :]
        except OSError as error:
            raise self._gone() from error
        self._is_drawing = True

    def _has_answer(self, wait_s: float) -> bool:
        if sys.platform == "win32":  # which cannot ask a pipe
            return True
        return bool(select.select([self._from_child], [], [], wait_s)[0])

    def _read_answer(self) -> None:
        """Reads what became of the image that was sent last."""
        if not self._is_drawing:
            return
        answer = self._from_child.readline()
        if not answer:
            raise self._gone()
        self._is_drawing, self.closed = False, answer == viewer.CLOSED

    def _gone(self) -> SourceError:
        return SourceError(f"Display {self._display} is gone, and the window with it.")
