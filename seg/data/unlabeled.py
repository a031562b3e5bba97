"""Images without labels, for a teacher to label: folders of them, or videos' frames."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from seg.data.dataset_string import DataOptions
from seg.data.samples import DataSet, Sample, ignore_table
from seg.data.segmentation_folders import find_images
from seg.errors import DataError, SourceError
from seg.files.atomic import atomic_write
from seg.files.cache_folders import use_entry
from seg.files.checksum import sha256_of
from seg.imaging.image_io import IMAGE_SUFFIXES, count_images
from seg.imaging.letterbox import resize
from seg.progress import track
from seg.results import Float32, UInt8
from seg.video.sources import VideoFile

THUMBNAIL_HW = (24, 32)
LEAST_CHANGE = 4.0  # mean gray levels by which a kept frame differs from each one kept before
QUALITY = 95
EXPECTED = "it takes folders of images and videos."


def open_unlabeled(texts: Sequence[str], classes: Sequence[str], cache: Path) -> list[DataSet]:
    """Opens folders of images and videos as data sets whose every pixel is `IGNORE`.

    Args:
        texts: `PATH[,weight=W][,only=PATTERN][,recursive]`; a path is a folder of images, or a
            video.
        classes: Class names.
        cache: Where videos' frames are kept.

    Raises:
        DataError: A path is neither, or an option has no meaning here.
        SourceError: A video cannot be read.
    """
    return [_open(text, tuple(classes), cache) for text in texts]


def _open(text: str, classes: tuple[str, ...], cache: Path) -> DataSet:
    options = DataOptions.parse(text, allowed=("weight", "only", "recursive"))
    path = options.path
    try:
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            raise DataError(f"--images {path} does not exist; {EXPECTED}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if path.suffix.lower() in IMAGE_SUFFIXES and not is_folder and count_images(path) == 1:
        raise DataError(f"--images {path} is one image; {EXPECTED}")
    folder = path if is_folder else distinct_frames(path, cache)
    found = find_images(folder, options.only, options.recursive)
    samples = tuple(Sample(image, table=ignore_table()) for image in found.images)
    meaning = "images" if is_folder else "frames that differ"
    description = f"{meaning}, without labels{found.remark}"
    return DataSet(path.name, classes, samples, (), options.weight, description=description)


def distinct_frames(video: Path, cache: Path) -> Path:
    """Writes the frames of a video that are no near-duplicates; returns their folder.

    A frame is kept where its thumbnail, 32 x 24 gray, differs from that of each frame kept before
    by 4 gray levels in the mean. Frames are decoded once: a video whose list of frames is whole is
    not read again.

    Raises:
        SourceError: The video cannot be read, or frames of it are missing or damaged.
        ArtifactError: A frame cannot be written.
    """
    folder = cache / f"{video.stem}-{sha256_of(video)[:16]}"
    done = folder / "frames.txt"
    use_entry(folder)
    if done.exists():
        return folder
    kept: list[Float32] = []
    names = []
    with VideoFile(video) as source:
        for frame in track(source, f"reading {video.name}"):
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
        part.write_text("\n".join(names) + "\n", "utf-8")
    return folder


def thumbnail(image: UInt8) -> Float32:
    """Returns an image's gray levels at 32 x 24, float32 `(24, 32)`, 0..255."""
    return cv2.cvtColor(resize(image, THUMBNAIL_HW), cv2.COLOR_BGR2GRAY).astype(np.float32)
