"""Sweeps and folds: the same training with other options, or on other splits of the data."""

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.data.samples import DataSet
from seg.errors import DataError, SpecMismatch
from seg.training.comparison import MOST_FOLDS
from seg.training.config import TrainingConfig
from seg.training.options import parts_of

UNSWEPT = ("arch", "backbone", "init")
Overrides = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """One training of several.

    Attributes:
        overrides: Human-readable: what differs from the others; empty where only the fold does.
        fold: From 1; 0 is the data's own split.
        config: All its choices.
        sets: Its data.
        folder: Its run, below the folder of all trials.
    """

    overrides: str
    fold: int
    config: TrainingConfig
    sets: tuple[DataSet, ...]
    folder: Path


def grid(texts: Sequence[str], config: TrainingConfig) -> list[Overrides]:
    """Reads `name=value,value` texts; returns every combination, the last name changing fastest.

    Raises:
        SpecMismatch: A name is no option that takes one number or word, or a value is none.
    """
    readers = _readers(config)
    axes: dict[str, list[Any]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        key = name.replace("-", "_")
        if key not in readers or not values:
            known = ", ".join(sorted(readers))
            raise SpecMismatch(f"--sweep takes NAME=VALUE,VALUE with one of {known}; got '{text}'.")
        try:
            axes[key] = [readers[key](value) for value in values.split(",")]
        except (ValueError, argparse.ArgumentTypeError) as error:
            raise SpecMismatch(f"--sweep {text}: {error}.") from error
    combinations = [dict(zip(axes, row, strict=True)) for row in itertools.product(*axes.values())]
    for overrides in combinations:
        config.with_changes(overrides)
    return combinations


def folds(sets: Sequence[DataSet], count: int) -> list[tuple[DataSet, ...]]:
    """Splits the data set that validates into folds, each of which validates once.

    Its training and validation images are put together, sorted by name, and dealt out in the
    order of `numpy.random.default_rng(0)`. Other data sets stay as they are.

    Raises:
        DataError: There are fewer images than folds, or no images to validate on.
    """
    place = next((i for i, data in enumerate(sets) if data.valid), None)
    if place is None:
        raise DataError("--folds needs a data set with images to validate on.")
    data = sets[place]
    samples = sorted(data.train + data.valid, key=lambda sample: sample.image.name)
    if not 2 <= count <= min(MOST_FOLDS, len(samples)):
        most = min(MOST_FOLDS, len(samples))
        raise DataError(f"--folds is {count}; expected 2 to {most} for {len(samples)} images.")
    order = np.random.default_rng(0).permutation(len(samples)).tolist()
    split = []
    for fold in range(count):
        held = set(order[fold::count])
        train = tuple(sample for i, sample in enumerate(samples) if i not in held)
        valid = tuple(sample for i, sample in enumerate(samples) if i in held)
        changed = dataclasses.replace(data, train=train, valid=valid)
        split.append((*sets[:place], changed, *sets[place + 1 :]))
    return split


def plan(
    configs: Mapping[str, TrainingConfig],
    sets: Sequence[DataSet],
    folder: Path,
    sweep: Sequence[str] = (),
    num_folds: int = 0,
    seeds: Sequence[int] = (),
) -> list[Trial]:
    """Returns every training of all variants, options, folds and seeds.

    Args:
        configs: The variants by name; a name may be empty.
        sets: The data.
        folder: Holds the folders of all runs.
        sweep: As of `grid`.
        num_folds: As of `folds`; 0 keeps the data's own split.
        seeds: Seeds of a training each; empty keeps the configuration's own.

    Raises:
        SpecMismatch: As of `grid`.
        DataError: As of `folds`.
    """
    splits = folds(sets, num_folds) if num_folds else [tuple(sets)]
    trials = []
    for variant, config in configs.items():
        for overrides in grid(sweep, config):
            pairs = [f"{key}={value}" for key, value in overrides.items()]
            name = " ".join([variant] * bool(variant) + pairs)
            for fold, split in enumerate(splits, 1 if num_folds else 0):
                for seed in seeds or (None,):
                    changes = overrides if seed is None else {**overrides, "seed": seed}
                    parts = [name.replace(" ", ",")] * bool(name) + [f"fold{fold}"] * bool(fold)
                    parts += [f"seed{seed}"] * (seed is not None)
                    changed = config.with_changes(changes)
                    trials.append(Trial(name, fold, changed, split, folder.joinpath(*parts)))
    return trials


def _readers(config: TrainingConfig) -> dict[str, Callable[[str], Any]]:
    """Returns the options that are one number or word, and what reads them."""
    known = config.to_dict()
    return {
        field.name: field.metadata["argument"]["type"]
        for field in itertools.chain(*parts_of(type(config)).values())
        if field.name in known
        and field.name not in UNSWEPT
        and field.metadata["argument"].get("nargs") in (None, "?")
        and "action" not in field.metadata["argument"]
    }
