"""Which images validate: the split of a folder, and the set that decides which epoch is best."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from seg.data.samples import DataSet, Sample
from seg.errors import DataError

# 24 of Penn-Fudan's 170 images, for a folder of any size.
DEFAULT_SHARE = 24 / 170

T = TypeVar("T")


def split(
    samples: Sequence[T], val: int | None = None, seed: int | None = None
) -> tuple[list[T], list[T]]:
    """Draws the validation images.

    Of n samples those at `numpy.random.default_rng(seed).permutation(n)[:val]` validate.

    Args:
        samples: In an order that never changes, such as that of their names.
        val: Number of validation images; None is 24 of 170.
        seed: Of the draw; None is 0.

    Returns:
        Samples to train on and to validate on, both in the order of `samples`.

    Raises:
        DataError: `val` leaves nothing to train on.
    """
    n = len(samples)
    count = min(max(1, round(n * DEFAULT_SHARE)), n - 1) if val is None else val
    if count >= n:
        raise DataError(f"val={count} of {n} images leaves none to train on.")
    drawn = set(np.random.default_rng(seed or 0).permutation(n)[:count].tolist())
    train = [sample for i, sample in enumerate(samples) if i not in drawn]
    return train, [samples[i] for i in sorted(drawn)]


def select_validation_set(sets: Sequence[DataSet]) -> tuple[Sample, ...]:
    """Returns the images that decide which epoch is best: the first set's that can.

    Images of the background alone have no IoU, so they cannot.

    Raises:
        DataError: No set can, or there is nothing but background to learn from.
    """
    if not any(sample.has_foreground() for data in sets for sample in data.train):
        raise DataError("Training needs images whose masks show a class; these show background.")
    for data in sets:
        if any(sample.has_foreground() for sample in data.valid):
            return data.valid
    raise DataError(
        "No data set has validation images whose masks show a class, so no epoch could be the "
        "best; set val=COUNT or seed=SEED after its name."
    )
