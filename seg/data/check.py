"""Checking data before work starts: every fault at once, not the first after an hour."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seg.data.samples import DataSet, Sample, size_fault
from seg.errors import DataError
from seg.imaging.image_io import read_image, read_mask
from seg.imaging.letterbox import hw_of
from seg.progress import track
from seg.results import UInt8


def check(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Reads every picture and mask once, with progress on a terminal's stderr.

    Args:
        samples: All that will be used, of any number of data sets.

    Returns:
        What is worth knowing and no fault, one line for each.

    Raises:
        DataError: There are faults; it lists all of them.
    """
    faults = shared_masks(samples)
    num_resized = 0
    # Decoding releases the interpreter's lock, so threads suffice.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        examined = pool.map(_examine, samples)
        for found, is_resized in track(examined, "checking", len(samples)):
            faults += found
            num_resized += is_resized
    if faults:
        raise DataError(f"The data has {len(faults)} fault{'s' * (len(faults) > 1)}:", faults)
    if not num_resized:
        return ()
    return (f"{num_resized} masks are resized to their pictures, which have the same aspect",)


def judges(sets: Sequence[DataSet]) -> tuple[Sample, ...]:
    """Returns the pictures that decide which epoch is best: the first set's that can.

    Pictures of the background alone have no IoU, so they cannot.

    Raises:
        DataError: No set can, or there is nothing but background to learn from.
    """
    if not any(sample.has_foreground() for data in sets for sample in data.train):
        raise DataError("Training needs pictures to learn from whose masks show a class.")
    able = (data.valid for data in sets if any(sample.has_foreground() for sample in data.valid))
    if (found := next(able, None)) is None:
        raise DataError(
            "No data set has validation pictures whose masks show a class, so no epoch could be "
            "the best; set val=COUNT or seed=SEED after its name."
        )
    return found


def shared_masks(samples: Iterable[Sample]) -> list[str]:
    """Returns a fault for each mask of more than one picture, such as of a.jpg and a.png."""
    owners: dict[Path, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.mask is not None:
            owners[sample.mask].add(sample.image.name)
    return [
        f"{mask}: belongs to {' and '.join(sorted(names))}; keep one of them"
        for mask, names in owners.items()
        if len(names) > 1
    ]


def _examine(sample: Sample) -> tuple[list[str], bool]:
    """Returns a sample's faults, and whether its mask is resized."""
    faults: list[str] = []
    image = _read(read_image, sample.image, faults)
    values = _read(read_mask, sample.mask, faults) if sample.mask else None
    is_resized = False
    if sample.mask and values is not None:
        faults.append(sample.label_fault(values))
        if image is not None:
            mask_hw, image_hw = hw_of(values), hw_of(image)
            faults.append(size_fault(sample.mask, mask_hw, image_hw))
            is_resized = mask_hw != image_hw
    return [fault for fault in faults if fault], is_resized


def _read(reader: Callable[[Path], UInt8], path: Path, faults: list[str]) -> UInt8 | None:
    try:
        return reader(path)
    except DataError as error:
        faults.append(str(error))
        return None
