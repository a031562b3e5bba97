"""Samples and data sets: images, where their labels are, and what a mask's values mean."""

import dataclasses
from pathlib import Path
from typing import Final

import numpy as np

from seg.errors import DataError
from seg.imaging.image_io import read_image, read_mask
from seg.imaging.letterbox import Size, hw_of, resize_labels
from seg.metrics import IGNORE as IGNORE
from seg.results import UInt8

UNKNOWN: Final = 254
SPLITS: Final = ("train", "valid", "all")


def label_table(num_classes: int) -> bytes:
    """Returns the table of masks whose values are labels; 255 is ignored."""
    return bytes(v if v < num_classes or v == IGNORE else UNKNOWN for v in range(256))


def binary_table() -> bytes:
    """Returns the table of masks that hold 0 and 255, where 255 is class 1."""
    return bytes({0: 0, 255: 1}.get(v, UNKNOWN) for v in range(256))


def ignore_table() -> bytes:
    """Returns the table of images without labels: every pixel is ignored."""
    return bytes([IGNORE] * 256)


def instance_table(label: int) -> bytes:
    """Returns the table of masks that number the objects of one class from 1."""
    return bytes([0, *[label] * 255])


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One image and where its labels are.

    Attributes:
        image: The image.
        mask: Its labels; None is an image of one label, the table's first: the background, or
            `IGNORE` where it has no labels.
        table: 256 bytes, the label that each value of the mask stands for: `label_table`,
            `binary_table`, `instance_table` or `ignore_table`.
    """

    image: Path
    mask: Path | None = None
    table: bytes = dataclasses.field(default=label_table(1), repr=False)

    @property
    def name(self) -> str:
        """The image's file name without its suffix."""
        return self.image.stem

    def load(self) -> tuple[UInt8, UInt8]:
        """Reads the image and its labels.

        The image is turned upright as its EXIF orientation says, and the mask belongs to the
        upright image. A mask of another size and the same aspect is resized, nearest neighbor.

        Returns:
            uint8 `(H, W, 3)` BGR, and uint8 `(H, W)`: labels, or `IGNORE`. Both are new arrays.

        Raises:
            DataError: A file is missing or damaged, or the two do not fit together.
        """
        image = read_image(self.image)
        hw = hw_of(image)
        if self.mask is None:
            return image, np.full(hw, self.table[0], np.uint8)
        values = read_mask(self.mask)
        mask_hw = hw_of(values)
        fault = size_fault(self.mask, mask_hw, hw) or self.label_fault(values)
        if fault:
            raise DataError(fault)
        labels = np.frombuffer(self.table, np.uint8)[values]
        return image, resize_labels(labels, hw)

    def has_foreground(self) -> bool:
        """Reads the mask; tells whether any of its pixels has another class than the background.

        Raises:
            DataError: The mask is missing or damaged.
        """
        if self.mask is None:
            return False
        return any(0 < self.table[value] < UNKNOWN for value in np.unique(read_mask(self.mask)))

    def objects(self, hw: Size) -> UInt8 | None:
        """Reads the number of each pixel's object.

        Args:
            hw: Size of the image.

        Returns:
            uint8 `(H, W)`, 0 where there is none; None where the mask numbers no objects, which
            one with the table `instance_table` does.

        Raises:
            DataError: The mask is missing or damaged.
        """
        if self.mask is None or self.table[1] != self.table[2] or self.table[1] >= UNKNOWN:
            return None
        return resize_labels(read_mask(self.mask), hw)

    def label_fault(self, values: UInt8) -> str:
        """Returns the fault of a mask with values that stand for no label; empty where none has."""
        present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        unknown = [str(value) for value in present if self.table[value] == UNKNOWN]
        if not unknown:
            return ""
        known = [value for value in range(256) if self.table[value] != UNKNOWN]
        expected = "0 and 255" if len(known) == 2 else f"0 to {known[-2]}, and 255 to ignore"
        more = ", ..." if len(unknown) > 8 else ""
        return (
            f"{self.mask}: unknown labels {', '.join(unknown[:8])}{more}; expected {expected}, "
            "no object numbers and no gray edges"
        )


@dataclasses.dataclass(frozen=True, slots=True)
class DataSet:
    """Images with labels, split for training and validation.

    Attributes:
        name: The folder's name.
        classes: Class names; the index is the label.
        train: Samples to learn from, sorted by file name.
        valid: Samples to measure on, sorted by file name; may be empty.
        weight: Share of the training crops, relative to the other data sets of a run: two sets
            with weights 3 and 1 give three quarters and a quarter, whatever their sizes.
        ignore_above: Where a teacher sees another class with at least this probability in what is
            labeled background, that place is ignored in training; 0 where every object is labeled.
        description: Human-readable: what was recognized in the folder.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    valid: tuple[Sample, ...]
    weight: float = 1.0
    ignore_above: float = 0.0
    description: str = ""

    def split(self, name: str) -> tuple[Sample, ...]:
        """Returns the samples of `train`, `valid` or `all`, sorted by file name.

        Raises:
            DataError: There is no such split, or it is empty.
        """
        if name not in SPLITS:
            raise DataError(f"No split '{name}'; expected one of {', '.join(SPLITS)}.")
        parts = {"train": self.train, "valid": self.valid, "all": self.train + self.valid}
        if not parts[name]:
            raise DataError(f"{self.name}: the split '{name}' is empty; set val=COUNT after it.")
        return tuple(sorted(parts[name], key=lambda sample: sample.image.name))


def fits(mask_hw: Size, image_hw: Size) -> bool:
    """Says whether a mask has its image's size, or its aspect within a pixel of rounding."""
    if mask_hw == image_hw:
        return True
    # The cross products differ by one long side where the smaller image is off by one pixel.
    (h, w), (mask_h, mask_w) = image_hw, mask_hw
    return abs(h * mask_w - w * mask_h) <= max(h, w, mask_h, mask_w)


def size_fault(path: Path, mask_hw: Size, image_hw: Size) -> str:
    """Returns the fault of a mask that does not fit its image; empty where it does."""
    if fits(mask_hw, image_hw):
        return ""
    turned = "; masks belong to the upright image, after its EXIF orientation"
    return (
        f"{path}: size {mask_hw[1]}x{mask_hw[0]}, its image is {image_hw[1]}x{image_hw[0]}"
        f"{turned if fits(mask_hw[::-1], image_hw) else ''}"
    )
