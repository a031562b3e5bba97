"""Sinks that write images into files."""

import os
from collections.abc import Mapping
from pathlib import Path

import cv2

from seg.errors import ArtifactError, SourceError
from seg.files.atomic import atomic_write, check_writable
from seg.imaging.letterbox import hw_of
from seg.results import Mask, UInt8
from seg.spec import SEGMENTATION
from seg.video.base import Frame, Processed, Sink


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
            raise ArtifactError(
                f"{folder} holds files already; choose a different one, or add --overwrite."
            )
        self.folder, self._overwrite = folder, overwrite

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes the mask."""
        mask = processed.results[SEGMENTATION]
        assert isinstance(mask, Mask)
        name = frame.name or f"{frame.index:06d}"
        save_image(self.folder / f"{name}.png", mask.labels, self._overwrite)

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
        self.paths, self._overwrite = paths, overwrite
        self.written: list[Path] = []

    def write(self, frame: Frame, processed: Processed) -> None:
        """Writes the image."""
        save_image(self.paths[frame.name], processed.image, self._overwrite)
        self.written.append(self.paths[frame.name])

    def close(self) -> None:
        """Does nothing: each file is finished when it is written."""


def save_image(path: Path, array: UInt8, overwrite: bool) -> None:
    """Writes uint8 `(H, W)`, BGR or BGRA, whole or not at all."""
    try:
        is_encoded, data = cv2.imencode(path.suffix, array)
    except cv2.error:
        is_encoded = False
    if not is_encoded:
        height, width = hw_of(array)
        raise SourceError(f"OpenCV cannot write {width}x{height} as {path.suffix}; try .png.")
    check_writable(path, overwrite)  # it may have appeared meanwhile
    with atomic_write(path) as part:
        part.write_bytes(data.tobytes())
