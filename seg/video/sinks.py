"""Sinks: a window and folders of images. The one place that shows windows."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2

from seg.errors import ArtifactError, SourceError
from seg.files.atomic import atomic_write, check_writable
from seg.results import Mask, UInt8
from seg.spec import SEGMENTATION
from seg.video.base import Frame, Processed, Sink
from seg.video.interrupts import interrupts_pending

ESCAPE = 27
NO_WINDOW = "Cannot show a window: "
PROBE = "import cv2, sys; cv2.namedWindow('dinoseg'); print(flush=True); sys.stdin.read()"


@contextmanager
def _display() -> Iterator[None]:
    """Makes sure that a window can be shown.

    Without a display OpenCV's Qt aborts the whole process, which no `except` can catch. So a child
    process opens a window first; it keeps it until ours is open, since a display may restart when
    its last window goes.
    """
    if not cv2.currentUIFramework():
        raise SourceError(
            f"{NO_WINDOW}this OpenCV has none; uninstall opencv-python-headless and opencv-python, "
            "then install opencv-python."
        )
    if sys.platform != "linux":
        yield
        return
    name = os.environ.get("DISPLAY")
    if not name:
        raise SourceError(f"{NO_WINDOW}DISPLAY is not set. Take --no-show and give --output.")
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    command = [sys.executable, "-c", PROBE]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null) as child:
        if child.stdout is None or not child.stdout.readline():
            raise SourceError(
                f"{NO_WINDOW}display {name} does not answer. Take --no-show and give --output."
            )
        yield


class Window(Sink):
    """Shows images in a window; q, Esc or its close button ends the loop.

    Args:
        title: The window's title.
        hold: Whether each image waits for a key; for photos.

    Raises:
        SourceError: There is no display, or this OpenCV has no windows.
    """

    stage = "show"

    def __init__(self, title: str, hold: bool = False) -> None:
        self.title, self.hold = title, hold
        self._is_open = self._is_sized = False
        # Qt complains five times that it brought no fonts, which no image needs.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        with _display():
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        self._is_open = True

    def write(self, frame: Frame, processed: Processed) -> None:
        """Shows the image and reads the keyboard."""
        image = processed.image
        if not self._is_sized:
            cv2.resizeWindow(self.title, image.shape[1], image.shape[0])
            self._is_sized = True
        cv2.imshow(self.title, image)
        key = cv2.waitKey(1)
        while self.hold and key < 0 and self._is_visible() and not interrupts_pending():
            key = cv2.waitKey(50)
        self.closed = key in (ESCAPE, ord("q")) or not self._is_visible()

    def _is_visible(self) -> bool:
        try:
            return bool(cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1)
        except cv2.error:  # some builds raise once the user has closed it
            return False

    def close(self) -> None:
        """Takes the window away."""
        if self._is_open:
            self._is_open = False
            with suppress(cv2.error):  # the user has closed it
                cv2.destroyWindow(self.title)


class MaskFolder(Sink):
    """Writes each mask as an 8-bit gray PNG whose values are class indices, 0 the background.

    `000000.png` is the video's first frame; an image's mask has the image's name.

    Args:
        folder: Made where it is missing.
        overwrite: Whether it may hold files already; those of the same name are replaced.

    Raises:
        ArtifactError: The folder holds files, or is a file.
    """

    stage = "masks"
    needs = (SEGMENTATION,)

    def __init__(self, folder: Path, overwrite: bool = False) -> None:
        if folder.exists() and not folder.is_dir():
            raise ArtifactError(f"{folder} is a file; --save-masks takes a folder.")
        if folder.is_dir() and any(folder.iterdir()) and not overwrite:
            raise ArtifactError(f"{folder} holds files already; take another, or add --overwrite.")
        self.folder = folder

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes the mask."""
        mask = processed.results[SEGMENTATION]
        assert isinstance(mask, Mask)
        _save(self.folder / f"{frame.name or f'{frame.index:06d}'}.png", mask.labels)

    def close(self) -> None:
        """Does nothing: each file is finished when it is written."""


class ImageFiles(Sink):
    """Writes each image to the path that its frame's name has.

    Args:
        paths: Where each name goes; the suffix is the format.
        overwrite: Whether existing files are replaced.

    Attributes:
        written: The files that are done.

    Raises:
        ArtifactError: A file exists.
        SourceError: OpenCV cannot write such a format.
    """

    def __init__(self, paths: Mapping[str, Path], overwrite: bool = False) -> None:
        for path in paths.values():
            # By the suffix alone: OpenCV crashes on a name that is not UTF-8.
            suffix = os.fsencode(path.suffix).decode(errors="replace")
            if not cv2.haveImageWriter(f"image{suffix}"):
                raise SourceError(f"Cannot write {path}: take a name that ends in .png or .jpg.")
            check_writable(path, overwrite)
        self.paths = paths
        self.written: list[Path] = []

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes the image."""
        _save(self.paths[frame.name], processed.image)
        self.written.append(self.paths[frame.name])

    def close(self) -> None:
        """Does nothing: each file is finished when it is written."""


def _save(path: Path, array: UInt8) -> None:
    """Writes an image, whole or not at all."""
    data = cv2.imencode(path.suffix, array)[1]
    with atomic_write(path) as part:
        part.write_bytes(data.tobytes())
