"""The process that a `Window` shows its images in; run as a file, so that it imports OpenCV alone.

Without a display OpenCV's Qt aborts its process, and exits it when the display goes away. Neither
can be caught, so it happens here. Reads from stdin: height and width, 4 bytes each, and BGR bytes.
Writes to stdout: a line once the window is open, and one for each image that was shown.
"""

import struct
import sys

import cv2
import numpy as np

HEADER = struct.Struct("<II")
READY, SHOWN, CLOSED, NO_GUI = b"ready\n", b"shown\n", b"closed\n", b"no gui\n"
ESCAPE = 27


def main(title: str, hold: bool) -> None:
    """Shows what comes until stdin ends.

    Args:
        title: The window's.
        hold: Whether each image waits for a key.
    """
    if not cv2.currentUIFramework():
        _say(NO_GUI)
        return
    cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    _say(READY)
    is_sized = False
    while header := sys.stdin.buffer.read(HEADER.size):
        height, width = HEADER.unpack(header)
        image = np.frombuffer(sys.stdin.buffer.read(height * width * 3), np.uint8)
        if not is_sized:
            cv2.resizeWindow(title, width, height)
            is_sized = True
        cv2.imshow(title, image.reshape(height, width, 3))
        key = cv2.waitKey(1)
        while hold and key < 0 and _is_visible(title):
            key = cv2.waitKey(50)
        _say(CLOSED if key in (ESCAPE, ord("q")) or not _is_visible(title) else SHOWN)


def _is_visible(title: str) -> bool:
    try:
        return bool(cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1)
    except cv2.error:  # some builds raise once the user has closed it
        return False


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], hold=sys.argv[2] == "hold")
