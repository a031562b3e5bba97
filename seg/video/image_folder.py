"""ImageFolder: one file, a folder or a pattern of still images, as a source."""

import glob
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2

from seg.errors import DataError, SourceError
from seg.imaging.image_io import IMAGE_SUFFIXES, count_images, read_image
from seg.imaging.native_stderr import image_complaints, opencv_silenced
from seg.video.addresses import refuse_address
from seg.video.base import Frame, Source

log = logging.getLogger("dinoseg")


class ImageFolder(Source):
    """Still images in the order of their paths.

    A frame's `name` is the file's path in the folder, without its suffix; where two files differ
    by their suffix alone, they keep it. Images are read as 8 bits and three channels: gray is
    spread over them, 16 bits are scaled down, transparency is ignored, and the EXIF orientation is
    applied. Of a file with several images the first is read. Hidden files are left out.

    Args:
        text: A file, a folder, or a pattern with `*`, `?`, `[...]` or `**`.
        is_recursive: Whether the folders in a folder are read, too.

    Attributes:
        paths: The files by name.
        failures: After the iteration: a line for each image that could not be read.

    Raises:
        SourceError: Nothing is there, it may not be read, or it holds no image.
    """

    unit = "image"

    def __init__(self, text: str, is_recursive: bool = False) -> None:
        super().__init__()
        self.failures: list[str] = []
        refuse_address(text, "download what it names first")
        try:
            root, files = _find(text, is_recursive)
        except OSError as error:
            raise SourceError(f"{text} cannot be read: {error.strerror}.") from error
        names = [path.relative_to(root) if root else Path(path.name) for path in files]
        stems = Counter(name.with_suffix("") for name in names)
        self.paths = {
            (name.with_suffix("") if stems[name.with_suffix("")] == 1 else name).as_posix(): path
            for name, path in zip(names, files, strict=True)
        }
        if len(self.paths) < len(files):
            raise SourceError(f"Two images of {text} have one name; give their folders in turn.")
        self.num_frames = len(self.paths)

    def keep(self, is_wanted: Callable[[Path], bool]) -> None:
        """Leaves out the files for which `is_wanted` is false."""
        self.paths = {name: path for name, path in self.paths.items() if is_wanted(path)}
        self.num_frames = len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        for index, (name, path) in enumerate(self.paths.items()):
            try:
                with opencv_silenced(), image_complaints() as complaints:
                    image = read_image(path)
            except DataError as error:
                self.failures.append(str(error))
                continue
            if complaints:
                log.info(f"{path}: parts of the image may be wrong ({complaints[0]})")
            if (number := count_images(path)) > 1:
                log.info(f"{path} holds {number} images; the first is used")
            yield Frame(image, index, float(index), name)

    def close(self) -> None:
        """Does nothing: no file stays open."""


def _find(text: str, is_recursive: bool) -> tuple[Path | None, list[Path]]:
    """Returns the folder that names are relative to, if there is one, and the image files."""
    path = Path(text)
    if text and path.is_file():
        return None, [path]
    if text and path.is_dir():
        root, entries = path, _entries(path, is_recursive)
    elif any(sign in text for sign in "*?["):
        root, entries = None, map(Path, glob.glob(text, recursive=True))  # noqa: PTH207 - any root
    else:
        raise SourceError(f"There is no file or folder '{text}'.")
    files = sorted(file for file in entries if file.is_file())
    images = [file for file in files if _is_image(file)]
    for file in sorted({*files} - {*images}):
        log.info(f"skipped, not an image: {file}")
    if not images:
        raise SourceError(f"There is no image in {text}; expected .jpg, .png and the like.")
    return root, images


def _entries(folder: Path, is_recursive: bool) -> Iterable[Path]:
    """Yields the files of a folder; names the folders in it that are left out."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    if not is_recursive and folders:
        number = "1 subfolder" if len(folders) == 1 else f"{len(folders)} subfolders"
        log.info(f"{number} of {folder} left out; add --recursive to read them")
        folders = []
    yield from (entry for entry in entries if not entry.is_dir())
    for inner in folders:
        yield from _entries(inner, is_recursive)


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        str(path).encode()
    except UnicodeEncodeError:  # OpenCV crashes on such a name
        return False
    with opencv_silenced():
        return bool(cv2.haveImageReader(str(path)))
