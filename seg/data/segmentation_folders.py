"""Folders of images and masks: which layout one has, what its masks mean, how it is split."""

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from seg.data import penn_fudan
from seg.data.dataset_string import DataOptions
from seg.data.samples import DataSet, Sample, binary_table, label_table
from seg.data.split import split
from seg.errors import DataError, SpecMismatch
from seg.imaging.image_io import IMAGE_SUFFIXES, list_files, read_mask

PENN_FUDAN = ("PNGImages", "PedMasks")
PRESPLIT = ("train_images", "train_masks", "valid_images", "valid_masks")
PAIRS = ("images", "masks")
LAYOUTS = """one of these was expected:
  PNGImages/ PedMasks/           Penn-Fudan as it is distributed
  train_images/ train_masks/ valid_images/ valid_masks/
  images/ masks/                 NAME.jpg or .png and its mask NAME.png
  images alone                   only as FOLDER,negatives: nothing in them but background"""


def open_dataset(text: str, classes: Sequence[str] = ("background", "person")) -> DataSet:
    """Opens a folder of images and masks, or of images of the background alone.

    The layout is recognized by the names of the folders. In `images/ masks/` and its split form
    masks hold labels and 255 to ignore; where there are two classes and the masks, all read once,
    hold only 0 and 255, then 255 is class 1. `split` draws the validation images of a folder
    without a split of its own, from the images sorted by name.

    Args:
        text: A folder and its options; see `DataOptions`.
        classes: Class names; the index is the label, index 0 is the background.

    Raises:
        DataError: The folder or an option is wrong.
        SpecMismatch: The folder's masks cannot mean these classes.
    """
    options = DataOptions.parse(text)
    folder = options.path
    try:
        if not folder.is_dir():
            problem = "is a file" if folder.exists() else "does not exist"
            raise DataError(f"{folder} {problem}; --data takes a folder.")
        train, valid, description = _open(folder, options, tuple(classes))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return DataSet(
        folder.resolve().name,
        tuple(classes),
        tuple(train),
        tuple(valid),
        weight=options.weight,
        ignore_above=options.ignore_above,
        description=description,
    )


Opened = tuple[Sequence[Sample], Sequence[Sample], str]


def _open(folder: Path, options: DataOptions, classes: tuple[str, ...]) -> Opened:
    """Returns the samples to train on, those to validate on, and what was recognized."""
    if options.negatives:
        found = find_images(folder, options.only, options.recursive)
        samples = [Sample(path) for path in found.images]
        return *_split(samples, options), f"images of the background alone{found.remark}"
    folder, layout = recognize_layout(folder)
    images = [find_images(folder / part, options.only, options.recursive) for part in layout[::2]]
    masks = [folder / part for part in layout[1::2]]
    if layout == PENN_FUDAN:
        samples = penn_fudan.samples(masks[0], images[0].images, classes)
        return *_split(samples, options), f"Penn-Fudan{images[0].remark}"
    parts = [pair_with_masks(*part) for part in zip(images, masks, strict=True)]
    table, meaning = mask_table([sample for part in parts for sample in part], classes)
    parts = [[dataclasses.replace(sample, table=table) for sample in part] for part in parts]
    remarks = "".join(dict.fromkeys(found.remark for found in images))
    description = f"{'/ '.join(layout)}/ with {meaning}{remarks}{_unused_masks(parts)}"
    if layout == PAIRS:
        return *_split(parts[0], options), description
    if options.val is not None or options.seed is not None:
        raise DataError(f"{folder} has its own split; omit val= and seed=.")
    return parts[0], parts[1], description


def _split(samples: Sequence[Sample], options: DataOptions) -> tuple[list[Sample], list[Sample]]:
    return split(samples, options.val, options.seed)


def recognize_layout(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Returns the folder of the data, which may be the `PennFudanPed` in it, and its layout.

    Raises:
        DataError: There is no layout, or a part of it is missing.
    """
    for place in (folder, folder / penn_fudan.FOLDER):
        for layout in (PENN_FUDAN, PRESPLIT, PAIRS):
            missing = [str(place / part) for part in layout if not (place / part).is_dir()]
            if not missing:
                return place, layout
            if len(missing) < len(layout):
                raise DataError(f"{place} lacks folders of its layout:", missing)
    raise DataError(f"{folder} is not a data set; {LAYOUTS}")


@dataclasses.dataclass(frozen=True, slots=True)
class FoundImages:
    """The images of a folder.

    Attributes:
        folder: Where they were looked for.
        images: Sorted by their path within the folder.
        remark: What is worth knowing, to be added to a description; or empty.
    """

    folder: Path
    images: Sequence[Path]
    remark: str = ""


def find_images(folder: Path, only: str = "*", recursive: bool = False) -> FoundImages:
    """Finds a folder's images by their suffixes.

    Args:
        folder: Where to look.
        only: Pattern of file names.
        recursive: Whether to look into subfolders, too.

    Raises:
        DataError: The folder cannot be read, or there are none.
    """
    files, num_skipped = list_files(folder, recursive)
    remark = ""
    if num_skipped:
        plural = "s" * (num_skipped > 1)
        remark = f", {num_skipped} subfolder{plural} not searched (add ,recursive)"
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    images = [path for path in images if fnmatchcase(path.name, only)]
    if not images:
        wanted = f"{only} ({' '.join(IMAGE_SUFFIXES)})"
        raise DataError(f"{folder} holds no images {wanted}{remark}.")
    return FoundImages(folder, images, remark)


def pair_with_masks(found: FoundImages, masks: Path) -> list[Sample]:
    """Gives each image the mask of its name, which need not exist."""
    return [
        Sample(path, (masks / path.relative_to(found.folder)).with_suffix(".png"))
        for path in found.images
    ]


def _unused_masks(parts: Sequence[Sequence[Sample]]) -> str:
    """Says how many masks have no image; an image in a format we do not read has one."""
    masks = {sample.mask for part in parts for sample in part if sample.mask}
    files = {
        path for folder in {mask.parent for mask in masks} for path in folder.glob("[!.]*.png")
    }
    count = len(files - masks)
    return f", {count} masks without an image ({' '.join(IMAGE_SUFFIXES)})" if count else ""


def mask_table(samples: Sequence[Sample], classes: Sequence[str]) -> tuple[bytes, str]:
    """Finds out what masks mean by reading all of them; returns `Sample.table` and words for it.

    Raises:
        SpecMismatch: The masks have two classes and `classes` another number.
    """
    if not _hold_0_and_255(samples):
        return label_table(len(classes)), "masks of labels"
    if len(classes) != 2:
        raise SpecMismatch(
            f"The masks beside {samples[0].image.parent} hold only 0 and 255, two classes; "
            f"{len(classes)} were asked for: {', '.join(classes)}."
        )
    return binary_table(), f"masks of 0 and 255 (255 is {classes[1]})"


def _hold_0_and_255(samples: Sequence[Sample]) -> bool:
    """Says whether 255 occurs and nothing else than 0 and 255 does; skips damaged masks.

    Raises:
        DataError: Most masks are of 0 and 255, and others hold labels: 255 would mean two things.
    """
    binary: list[Path] = []
    labeled: list[Path] = []
    for mask in (sample.mask for sample in samples if sample.mask):
        try:
            counts = np.bincount(read_mask(mask).ravel(), minlength=256)
        except DataError:
            continue
        if counts[1:255].any():
            labeled.append(mask)
        elif counts[255]:
            binary.append(mask)
    if labeled and len(binary) > len(labeled):
        raise DataError(
            f"{len(binary)} masks, such as {binary[0].name}, hold only 0 and 255, and "
            f"{len(labeled)}, such as {labeled[0].name}, hold labels, where 255 is ignored. "
            "Write all masks in one way."
        )
    return bool(binary) and not labeled
