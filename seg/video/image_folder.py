"""ImageFolder: one file, a folder or a glob of still pictures, as a source."""

import glob
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2

from seg.errors import DataError, SourceError
from seg.imaging.image_io import IMAGE_SUFFIXES, read_image
from seg.notes import note
from seg.video.base import Frame, Source


class ImageFolder(Source):
    """Still pictures in the order of their paths; a frame's `name` is the file's stem.

    ImageFolder are read as 8 bits and three colours: grey is spread over them, 16 bits are scaled
    down, transparency is ignored, and a camera's rotation mark is honoured. Where two files
    share a stem, their names keep the suffix. Hidden files and subfolders are not looked at.

    Args:
        text: A file, a folder, or a pattern with `*`, `?`, `[...]` or `**`.

    Attributes:
        paths: The files by name.
        failures: After the iteration: a line for each picture that could not be read.

    Raises:
        SourceError: Nothing is there, or no picture is.
    """

    unit = "image"

    def __init__(self, text: str) -> None:
        super().__init__()
        self.failures: list[str] = []
        files = _find(text)
        stems = Counter(path.stem for path in files)
        self.paths = {p.stem if stems[p.stem] == 1 else p.name: p for p in files}
        if len(self.paths) < len(files):
            raise SourceError(f"Two pictures of {text} have one name; take their folders in turn.")

    def __iter__(self) -> Iterator[Frame]:
        for index, (name, path) in enumerate(self.paths.items()):
            try:
                image = read_image(path)
            except DataError as error:
                self.failures.append(str(error))
            else:
                yield Frame(image, index, float(index), name)

    def close(self) -> None:
        """Does nothing: no file stays open."""


def _find(text: str) -> list[Path]:
    path = Path(text)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [file for file in path.iterdir() if not file.name.startswith(".")]
    elif any(sign in text for sign in "*?["):
        files = [Path(name) for name in glob.glob(text, recursive=True)]  # noqa: PTH207 - any root
    else:
        raise SourceError(f"There is no file or folder {text}.")
    files = sorted(file for file in files if file.is_file())
    pictures = [file for file in files if _looks_like_picture(file)]
    for file in files:
        if file not in pictures:
            note(f"skipped, not a picture: {file}")
    if not pictures:
        raise SourceError(f"There is no picture in {text}; expected .jpg, .png and the like.")
    return pictures


def _looks_like_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES or bool(cv2.haveImageReader(str(path)))
