"""Images in a folder for each class: which folders there are, and how they are split."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from seg.data.dataset_string import DataOptions
from seg.data.samples import SPLITS
from seg.data.segmentation_folders import find_images
from seg.data.split import DEFAULT_SHARE, split
from seg.errors import DataError
from seg.files.checksum import sha256_of
from seg.imaging.image_io import IMAGE_SUFFIXES, list_files

TRAIN = "train"
VALID = ("val", "valid", "validation", "test")  # the first that is there
ALLOWED = ("val", "seed", "only", "recursive")
EXPECTED = "expected FOLDER/train/CLASS/ and FOLDER/val/CLASS/, or FOLDER/CLASS/, with images"
MAX_LISTED = 20


@dataclasses.dataclass(frozen=True, slots=True)
class ClassSample:
    """An image and its class.

    Attributes:
        image: The image.
        label: Index of its class.
    """

    image: Path
    label: int

    @property
    def name(self) -> str:
        """The image's file name without its suffix."""
        return self.image.stem


@dataclasses.dataclass(frozen=True, slots=True)
class ClassDataSet:
    """Images with a class each, split for training and validation.

    Attributes:
        name: The folder's name.
        classes: Class names, sorted; the index is the label.
        train: Samples to learn from, by class and then by path; of every class at least one.
        valid: Samples to measure on, likewise.
        description: Human-readable: what was recognized in the folder.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[ClassSample, ...]
    valid: tuple[ClassSample, ...]
    description: str = ""

    def split(self, name: str) -> tuple[ClassSample, ...]:
        """Returns the samples of `train`, `valid` or `all`; raises DataError for another name."""
        if name not in SPLITS:
            raise DataError(f"No split '{name}'; expected one of {', '.join(SPLITS)}.")
        return {"train": self.train, "valid": self.valid, "all": self.train + self.valid}[name]


def open_class_folders(text: str) -> ClassDataSet:
    """Opens a folder of images, sorted into one folder for each class.

    Its `train/` and `val/` (or `valid/`, `validation/`, `test/`) hold the folders of the classes,
    or it holds them itself. Then `split` draws validation images from each class, as many in
    proportion, so that the draw is always the same.

    Args:
        text: A folder and its options, of `ALLOWED`; see `DataOptions`.

    Raises:
        DataError: The folder or an option is wrong, a class is empty or has too few images to be
            split, or the two splits have different classes.
    """
    options = DataOptions.parse(text, ALLOWED)
    folder = options.path
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {problem}; --data takes a folder.")
    parts = [folder / name for name in (TRAIN, *VALID) if (folder / name).is_dir()]
    if (folder / TRAIN) not in parts:
        return _split_classes(folder, options)
    if len(parts) < 2:
        raise DataError(f"{folder} has {TRAIN}/ and no {VALID[0]}/; {EXPECTED}.")
    if options.val is not None or options.seed is not None:
        raise DataError(f"{folder} has its own split; omit val= and seed=.")
    train, valid = (_find_classes(part, options) for part in parts[:2])
    _check_same(parts[0], list(train), parts[1], list(valid))
    unused = "".join(f", {part.name}/ not used" for part in parts[2:])
    return ClassDataSet(
        name=folder.resolve().name,
        classes=tuple(train),
        train=_label(train.values()),
        valid=_label(valid.values()),
        description=f"{parts[0].name}/ and {parts[1].name}/ of {len(train)} classes{unused}",
    )


def find_duplicates(data: ClassDataSet) -> tuple[str, ...]:
    """Finds images that are in both splits, or in two classes: the same bytes.

    Returns:
        One line for each; the first copy, and the others.

    Raises:
        DataError: A file cannot be read.
    """
    by_size: dict[int, list[tuple[str, ClassSample]]] = defaultdict(list)
    for part, samples in ((TRAIN, data.train), ("valid", data.valid)):
        for sample in samples:
            by_size[_size(sample.image)].append((part, sample))
    lines = []
    for group in by_size.values():
        same: dict[str, list[tuple[str, ClassSample]]] = defaultdict(list)
        for one in group if len(group) > 1 else ():
            same[sha256_of(one[1].image)].append(one)
        for copies in same.values():
            if len({(part, sample.label) for part, sample in copies}) > 1:
                first, *others = (str(sample.image) for _, sample in copies)
                lines.append(f"{first} is also {' and '.join(others)}")
    return tuple(sorted(lines))


def refuse_duplicates(data: ClassDataSet, allow: bool = False) -> tuple[str, ...]:
    """Refuses images that are in both splits, or in two classes.

    Args:
        data: Both splits are looked at.
        allow: Returns a remark instead.

    Returns:
        What is worth knowing: a line, or none.

    Raises:
        DataError: There are some and they are not allowed; it lists them.
    """
    found = find_duplicates(data)
    if not found:
        return ()
    head = f"Images that are in both splits, or in two classes: {len(found)}"
    if allow:
        return (f"{head}, such as {found[0]}",)
    more = [f"... and {len(found) - MAX_LISTED} more"] if len(found) > MAX_LISTED else []
    remedy = "what is learned by heart would count; remove them, or add --allow-duplicates"
    raise DataError(f"{head}; {remedy}:", [*found[:MAX_LISTED], *more])


def _find_classes(folder: Path, options: DataOptions) -> dict[str, Sequence[Path]]:
    """Returns the images of each class, classes sorted by name."""
    try:
        places = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error
    if len(places) < 2:
        raise DataError(
            f"{folder} has {len(places)} folder{'s' * (len(places) != 1)} of a class, and two are "
            f"needed; {EXPECTED}."
        )
    empty = [str(place) for place in places if not _has_images(place, options)]
    if empty:
        suffixes = " ".join(IMAGE_SUFFIXES)
        raise DataError(f"{len(empty)} of {len(places)} classes have no image ({suffixes}):", empty)
    return {
        place.name: find_images(place, options.only, options.recursive).images for place in places
    }


def _has_images(place: Path, options: DataOptions) -> bool:
    files, _ = list_files(place, options.recursive)
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in files)


def _check_same(one: Path, names: Sequence[str], other: Path, others: Sequence[str]) -> None:
    if names == others:
        return
    faults = [f"{other / name} is missing" for name in names if name not in others]
    faults += [f"{one / name} is missing" for name in others if name not in names]
    raise DataError(f"{one} and {other} do not have the same classes:", faults)


def _split_classes(folder: Path, options: DataOptions) -> ClassDataSet:
    """Splits each class by the same share."""
    classes = _find_classes(folder, options)
    single = [str(folder / name) for name, images in classes.items() if len(images) < 2]
    if single:
        raise DataError(
            "Each class is split, and these have one image; add images, or make train/ and val/:",
            single,
        )
    total = sum(map(len, classes.values()))
    share = DEFAULT_SHARE if options.val is None else options.val / total
    if share >= 1:
        raise DataError(f"val={options.val} of {total} images leaves none to train on.")
    parts = [
        split(images, max(1, min(len(images) - 1, round(share * len(images)))), options.seed)
        for images in classes.values()
    ]
    valid = _label(part[1] for part in parts)
    return ClassDataSet(
        name=folder.resolve().name,
        classes=tuple(classes),
        train=_label(part[0] for part in parts),
        valid=valid,
        description=f"{len(classes)} classes, of each a share to validate, {len(valid)} in all",
    )


def _label(images: Iterable[Sequence[Path]]) -> tuple[ClassSample, ...]:
    return tuple(ClassSample(path, label) for label, part in enumerate(images) for path in part)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
