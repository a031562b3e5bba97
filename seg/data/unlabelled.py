"""Pictures without labels, for a teacher to label: folders of them, or videos' frames."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seg.data.dataset_string import Options
from seg.data.samples import DataSet, Sample, nothing
from seg.data.segmentation_folders import pictures
from seg.errors import DataError, SourceError
from seg.files.atomic import atomic_write
from seg.files.checksum import sha256_of
from seg.imaging.image_io import IMAGE_SUFFIXES
from seg.imaging.letterbox import resize
from seg.results import Float32, UInt8
from seg.video.sources import VideoFile

THUMBNAIL_HW = (24, 32)
LEAST_CHANGE = 4.0  # mean grey levels by which a kept frame differs from each one kept before
QUALITY = 95


def open_unlabelled(texts: Sequence[str], classes: Sequence[str], cache: Path) -> list[DataSet]:
    """Opens folders of pictures and videos as data sets whose every pixel is `IGNORE`.

    Args:
        texts: `PATH[,weight=W][,only=PATTERN]`; a path is a folder of pictures, or a video.
        classes: Class names.
        cache: Where videos' frames are kept.

    Raises:
        DataError: A path is neither, or an option has no meaning here.
        SourceError: A video cannot be read.
    """
    return [_open(text, tuple(classes), cache) for text in texts]


def _open(text: str, classes: tuple[str, ...], cache: Path) -> DataSet:
    options = Options.parse(text)
    path = options.folder
    if options.val is not None or options.seed is not None or options.negatives or options.doubt:
        raise DataError(f"--images {text}: expected PATH[,weight=W][,only=PATTERN], no more.")
    if not path.exists():
        raise DataError(f"--images {path} does not exist; it takes folders of pictures and videos.")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise DataError(f"--images {path} is one picture; it takes folders of pictures and videos.")
    found = pictures(path if path.is_dir() else distinct_frames(path, cache), options.only)
    samples = tuple(Sample(picture, table=nothing()) for picture in found)
    meaning = "pictures" if path.is_dir() else "frames that differ"
    return DataSet(
        path.name, classes, samples, (), options.weight, description=f"{meaning}, without labels"
    )


def distinct_frames(video: Path, cache: Path) -> Path:
    """Writes the frames of a video that are no near-duplicates; returns their folder.

    A frame is kept where its thumbnail, 32 x 24 grey, differs from that of each frame kept before
    by 4 grey levels in the mean. Frames are decoded once: a video whose list of frames is whole is
    not read again.

    Raises:
        SourceError: The video cannot be read, or frames of it are missing or damaged.
        ArtifactError: A frame cannot be written.
    """
    folder = cache / f"{video.stem}-{sha256_of(video)[:16]}"
    done = folder / "frames.txt"
    if done.exists():
        return folder
    kept: list[Float32] = []
    names = []
    with VideoFile(video) as source:
        for frame in source:
            small = thumbnail(frame.image)
            if any(np.abs(small - other).mean() < LEAST_CHANGE for other in kept):
                continue
            kept.append(small)
            names.append(f"{frame.index:06}.jpg")
            with atomic_write(folder / names[-1]) as part:
                jpeg = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
                part.write_bytes(jpeg.tobytes())
    if source.damage:
        raise SourceError(source.damage)
    with atomic_write(done) as part:
        part.write_text("\n".join(names) + "\n")
    return folder


def thumbnail(image: UInt8) -> Float32:
    """Returns a picture's grey levels at 32 x 24, float32 `(24, 32)`, 0..255."""
    return cv2.cvtColor(resize(image, THUMBNAIL_HW), cv2.COLOR_BGR2GRAY).astype(np.float32)
