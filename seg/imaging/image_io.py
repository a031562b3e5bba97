"""Still images: reading images and masks, and a few photos that installed packages carry."""

import importlib.util
import io
import os
import warnings
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageOps

from seg.errors import DataError, EngineMissing
from seg.results import UInt8

IMAGE_SUFFIXES: Final = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SEVERAL: Final = ("GIF", "TIFF", "WEBP", "PNG", "AVIF")  # formats that may hold several images
# Something real to show and to compare on, offline, that may be published.
PHOTOS: Final = {
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),  # US Navy, public domain
    "astronaut": ("skimage", "data/astronaut.png"),  # NASA, public domain
    "coffee": ("skimage", "data/coffee.png"),  # Rachel Michetti, CC0
    "rocket": ("skimage", "data/rocket.jpg"),  # SpaceX, CC0
}


def read_image(path: Path) -> UInt8:
    """Reads an image, turned upright as its EXIF orientation says.

    Gray is spread over three channels, 16 bits are scaled down to 8, transparency is ignored.

    Returns:
        uint8 `(H, W, 3)` BGR, a new array.

    Raises:
        DataError: The file cannot be read, is cut off, or is not an image.
    """
    # Not imread: it fills up a JPEG that was cut off, and needs ASCII paths on Windows.
    data = np.frombuffer(_read_bytes(path, "image"), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: not an image, or damaged")
    return np.asarray(image, np.uint8)


def count_images(path: Path) -> int:
    """Counts the pages of a TIFF or the frames of an animation; 1 for any other file."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            return getattr(file, "n_frames", 1) if file.format in SEVERAL else 1
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return 1


def color_mode(path: Path) -> str:
    """Returns how an image's file holds colors, such as `RGB`; empty where Pillow cannot tell."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
            return str(file.mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return ""


def read_mask(path: Path) -> UInt8:
    """Reads a mask's own values, turned upright like an image.

    With Pillow: OpenCV turns a palette's indices, which are the labels, into colors.

    Returns:
        uint8 `(H, W)`, a new array.

    Raises:
        DataError: The file cannot be read, is damaged, or has more than one channel of 8 bits.
    """
    data = _read_bytes(path, "mask")
    try:
        with Image.open(io.BytesIO(data)) as file:
            mode = file.mode
            ImageOps.exif_transpose(file, in_place=True)
            values = np.array(file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a mask, or damaged") from error
    if mode not in ("1", "L", "P"):
        raise DataError(
            f"{path}: a mask is one channel of 8 bits that holds labels; this has mode {mode}, "
            "so write its labels in place of its colors"
        )
    return values.astype(np.uint8, copy=False)


def list_files(folder: Path, recursive: bool = False) -> tuple[list[Path], int]:
    """Lists a folder's files, without the hidden ones.

    Args:
        folder: Where to look.
        recursive: Whether to look into its subfolders, too; links to folders are not followed.

    Returns:
        The files, sorted by their path within the folder, and the number of subfolders that were
        not searched.

    Raises:
        DataError: The folder, or a searched one in it, cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error

    files: list[Path] = []
    num_skipped = 0
    for place, subfolders, names in os.walk(folder, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        files += [Path(place, name) for name in names if not name.startswith(".")]
        searched = [name for name in subfolders if recursive and not Path(place, name).is_symlink()]
        num_skipped += len(subfolders) - len(searched)
        subfolders[:] = searched
    return sorted(files), num_skipped


def _read_bytes(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such {kind}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def photo(name: str) -> UInt8:
    """Returns one of `PHOTOS`, uint8 `(H, W, 3)` BGR; hopper and astronaut show a person.

    Raises:
        EngineMissing: The package that carries it is not installed.
    """
    package, inside = PHOTOS[name]
    found = importlib.util.find_spec(package)
    path = Path(found.origin).parent / inside if found and found.origin else None
    if path is None or not path.is_file():
        pip = {"skimage": "scikit-image"}.get(package, package)
        raise EngineMissing(f"The photo '{name}' comes with {pip}: pip install {pip}")
    return read_image(path)
