"""Folders of pictures: which layout one has, what its masks mean, how it is split."""

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from seg.data import penn_fudan
from seg.data.dataset_string import Options
from seg.data.samples import DataSet, Sample, binary, class_ids
from seg.errors import DataError, SpecMismatch
from seg.imaging.image_io import IMAGE_SUFFIXES, read_mask

PENN_FUDAN = ("PNGImages", "PedMasks")
PRESPLIT = ("train_images", "train_masks", "valid_images", "valid_masks")
PAIRS = ("images", "masks")
# 24 of Penn-Fudan's 170 pictures, for a folder of any size.
DEFAULT_SHARE = 24 / 170
LAYOUTS = """one of these was expected:
  PNGImages/ PedMasks/           Penn-Fudan as it is distributed
  train_images/ train_masks/ valid_images/ valid_masks/
  images/ masks/                 NAME.jpg or .png and its mask NAME.png
  pictures alone                 only as FOLDER,negatives: nothing in them but background"""


def open_dataset(text: str, classes: Sequence[str] = ("background", "person")) -> DataSet:
    """Opens a folder of pictures and masks, or of pictures of the background alone.

    The layout is recognised by the names of the folders. In `images/ masks/` and its split form
    masks hold labels and 255 to ignore; where there are two classes and the masks, all read once,
    hold only 0 and 255, then 255 is class 1. Of n pictures without a split those at
    `numpy.random.default_rng(seed).permutation(n)[:val]` of the sorted names validate.

    Args:
        text: `PATH[,val=COUNT][,seed=SEED][,weight=W][,only=PATTERN][,doubt=P][,negatives]`.
        classes: Class names; the index is the label, index 0 is the background.

    Raises:
        DataError: The folder or an option is wrong.
        SpecMismatch: The folder's masks cannot mean these classes.
    """
    options = Options.parse(text)
    folder = options.folder
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {problem}; --data takes a folder.")
    train, valid, layout = _open(folder, options, tuple(classes))
    name = folder.resolve().name
    return DataSet(
        name,
        tuple(classes),
        tuple(train),
        tuple(valid),
        weight=options.weight,
        doubt=options.doubt,
        description=layout,
    )


Opened = tuple[Sequence[Sample], Sequence[Sample], str]


def _open(folder: Path, options: Options, classes: tuple[str, ...]) -> Opened:
    """Returns the samples to train on, those to validate on, and what was recognised."""
    if options.negatives:
        samples = [Sample(path) for path in pictures(folder, options.only)]
        return *split(samples, options), "pictures of the background alone"
    folder, layout = recognise(folder)
    images = [pictures(folder / part, options.only) for part in layout[::2]]
    masks = [folder / part for part in layout[1::2]]
    if layout == PENN_FUDAN:
        samples = penn_fudan.samples(masks[0], images[0], classes)
        return *split(samples, options), "Penn-Fudan"
    pairs = [pair(*part) for part in zip(images, masks, strict=True)]
    table, meaning = mask_table([sample for part in pairs for sample in part], classes)
    parts = [[dataclasses.replace(s, table=table) for s in part] for part in pairs]
    meaning = f"{'/ '.join(layout)}/ with {meaning}{_orphans(parts)}"
    if layout == PAIRS:
        return *split(parts[0], options), meaning
    if options.val is not None or options.seed is not None:
        raise DataError(f"{folder} has its own split; leave val= and seed= out.")
    return parts[0], parts[1], meaning


def recognise(folder: Path) -> tuple[Path, tuple[str, ...]]:
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
    raise DataError(f"{folder} is no data set; {LAYOUTS}")


def pictures(folder: Path, only: str = "*") -> list[Path]:
    """Returns a folder's pictures sorted by file name; raises DataError where there are none.

    Args:
        folder: Where to look; not below it.
        only: Pattern of file names.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error
    # Some systems leave hidden twins such as ._a.jpg, which are no pictures.
    paths = [path for path in paths if path.name[0] != "." and path.is_file()]
    found = [path for path in paths if fnmatchcase(path.name, only)]
    if not found:
        raise DataError(f"{folder} holds no pictures {only} ({' '.join(IMAGE_SUFFIXES)}).")
    return sorted(found, key=lambda path: path.name)


def pair(images: Sequence[Path], masks: Path) -> list[Sample]:
    """Gives each picture the mask of its name, which need not exist."""
    return [Sample(path, masks / f"{path.stem}.png") for path in images]


def _orphans(parts: Sequence[Sequence[Sample]]) -> str:
    """Says how many masks have no picture; a picture in a format we do not read has one."""
    masks = {sample.mask for part in parts for sample in part if sample.mask}
    files = {
        path for folder in {mask.parent for mask in masks} for path in folder.glob("[!.]*.png")
    }
    count = len(files - masks)
    return f", {count} masks without a picture ({' '.join(IMAGE_SUFFIXES)})" if count else ""


def mask_table(samples: Sequence[Sample], classes: Sequence[str]) -> tuple[bytes, str]:
    """Finds out what masks mean by reading all of them; returns `Sample.table` and words for it.

    Raises:
        SpecMismatch: The masks have two classes and `classes` another number.
    """
    if not _hold_0_and_255(samples):
        return class_ids(len(classes)), "masks of labels"
    if len(classes) != 2:
        raise SpecMismatch(
            f"The masks beside {samples[0].image.parent} hold only 0 and 255, two classes; "
            f"{len(classes)} were asked for: {', '.join(classes)}."
        )
    return binary(), f"masks of 0 and 255 (255 is {classes[1]})"


def _hold_0_and_255(samples: Sequence[Sample]) -> bool:
    """Says whether 255 occurs and nothing else than 0 and 255 does; skips damaged masks.

    Raises:
        DataError: Most masks are of 0 and 255, and others hold labels: 255 would mean two things.
    """
    binary: list[Path] = []
    labelled: list[Path] = []
    for mask in (sample.mask for sample in samples if sample.mask):
        try:
            counts = np.bincount(read_mask(mask).ravel(), minlength=256)
        except DataError:
            continue
        if counts[1:255].any():
            labelled.append(mask)
        elif counts[255]:
            binary.append(mask)
    if labelled and len(binary) > len(labelled):
        raise DataError(
            f"{len(binary)} masks, such as {binary[0].name}, hold only 0 and 255, and "
            f"{len(labelled)}, such as {labelled[0].name}, hold labels, where 255 is ignored. "
            "Write all masks in one way."
        )
    return bool(binary) and not labelled


def split(samples: Sequence[Sample], options: Options) -> tuple[list[Sample], list[Sample]]:
    """Draws the validation pictures; both parts stay sorted.

    Raises:
        DataError: `val` leaves nothing to train on.
    """
    n = len(samples)
    count = max(1, round(n * DEFAULT_SHARE)) if options.val is None else options.val
    if options.val is None:
        count = min(count, n - 1)
    if count >= n:
        raise DataError(f"val={count} of {n} pictures leaves none to train on.")
    drawn = set(np.random.default_rng(options.seed or 0).permutation(n)[:count].tolist())
    train = [sample for i, sample in enumerate(samples) if i not in drawn]
    return train, [samples[i] for i in sorted(drawn)]
