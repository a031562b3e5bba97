"""Checking data before work starts: every fault at once, not the first after an hour."""

import dataclasses
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from seg.data.samples import Sample, size_fault
from seg.errors import DataError
from seg.imaging.image_io import color_mode, count_images, read_image, read_mask
from seg.imaging.letterbox import hw_of
from seg.imaging.native_stderr import image_complaints, opencv_silenced
from seg.progress import track
from seg.results import UInt8


@dataclasses.dataclass(frozen=True, slots=True)
class Examined:
    """What reading one sample has shown.

    Attributes:
        faults: One line for each.
        is_resized: Whether its mask has another size than the image, and the same aspect.
    """

    faults: Sequence[str]
    is_resized: bool


def check_images(paths: Sequence[Path]) -> tuple[str, ...]:
    """Reads every image once, and says how far it is.

    Returns:
        What is worth knowing and no fault, one line for each.

    Raises:
        DataError: Some cannot be read; it lists all of them.
    """
    found, complaints = _examine_all([Sample(path) for path in paths])
    _raise_faults([fault for one in found for fault in one.faults])
    remarks = [*complaints, *_several_frames(paths)]
    modes = [(path, mode) for path in paths if (mode := color_mode(path)) not in ("RGB", "")]
    if modes:
        path, mode = modes[0]
        remarks.append(
            f"{len(modes)} images are not RGB and are converted, such as {path.name} ({mode})"
        )
    return tuple(remarks)


def check_samples(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Reads every image and mask once, and says how far it is.

    Args:
        samples: All that will be used, of any number of data sets.

    Returns:
        What is worth knowing and no fault, one line for each.

    Raises:
        DataError: There are faults; it lists all of them.
    """
    found, complaints = _examine_all(samples)
    _raise_faults(shared_masks(samples) + [fault for one in found for fault in one.faults])
    remarks = []
    if num_resized := sum(one.is_resized for one in found):
        remarks.append(f"{num_resized} masks are resized to their images, of the same aspect")
    return *remarks, *complaints, *_several_frames([sample.image for sample in samples])


def _examine_all(samples: Sequence[Sample]) -> tuple[list[Examined], list[str]]:
    """Examines all; returns what was found in each, and what their decoders complained of."""
    # Decoding releases the interpreter's lock, so threads suffice.
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    try:
        with opencv_silenced(), image_complaints() as complaints:
            reads = pool.map(_examine, samples)
            with closing(track(reads, "checking", len(samples))) as steps:
                found = list(steps)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the images that are left
    # Which image they are about is not known, since threads read.
    said = [f"parts of an image may be wrong ({complaints[0]})"] if complaints else []
    return found, said


def _raise_faults(faults: Sequence[str]) -> None:
    if faults:
        raise DataError(f"The data has {len(faults)} fault{'s' * (len(faults) > 1)}:", faults)


def _several_frames(paths: Sequence[Path]) -> list[str]:
    many = [path for path in paths if count_images(path) > 1]
    if not many:
        return []
    return [
        f"of {len(many)} images with several frames or pages, such as {many[0].name}, "
        "only the first one is used"
    ]


def shared_masks(samples: Iterable[Sample]) -> list[str]:
    """Returns a fault for each mask of more than one image, such as of a.jpg and a.png."""
    owners: dict[Path, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.mask is not None:
            owners[sample.mask].add(sample.image.name)
    return [
        f"{mask}: belongs to {' and '.join(sorted(names))}; keep one of them"
        for mask, names in owners.items()
        if len(names) > 1
    ]


def _examine(sample: Sample) -> Examined:
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
    return Examined([fault for fault in faults if fault], is_resized)


def _read(reader: Callable[[Path], UInt8], path: Path, faults: list[str]) -> UInt8 | None:
    try:
        return reader(path)
    except DataError as error:
        faults.append(str(error))
        return None
