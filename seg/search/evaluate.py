"""How good retrieval is: which fraction of the nearest images is of the query's own kind."""

import dataclasses
import fnmatch
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg.errors import DataError
from seg.search.image_index import ImageIndex

CHUNK = 1024  # queries at once


@dataclasses.dataclass(frozen=True, slots=True)
class Precision:
    """Of the images of one label.

    Attributes:
        label: A folder, or the name of a group.
        count: Number of images.
        precision: Mean fraction of each image's nearest others that have the same label.
        confused: The labels that most of the others have, and their fraction of all, largest first.
    """

    label: str
    count: int
    precision: float
    confused: list[tuple[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return dataclasses.asdict(self)


def labels_by_folder(paths: Sequence[str]) -> list[str]:
    """Returns the folder of each path, within the folder that all are in."""
    root = os.path.commonpath([Path(path).parent for path in paths])
    return [os.path.relpath(Path(path).parent, root) for path in paths]


def read_groups(texts: Sequence[str]) -> dict[str, list[str]]:
    """Reads `NAME=PATTERN[,PATTERN]`; returns the patterns by name.

    Raises:
        DataError: A text has another form.
    """
    groups: dict[str, list[str]] = {}
    for text in texts:
        name, _, patterns = text.partition("=")
        if not name or not patterns:
            raise DataError(f"Expected NAME=PATTERN[,PATTERN] of --group; got '{text}'")
        groups[name] = patterns.split(",")
    return groups


def labels_by_group(paths: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns the first group with a pattern that each path fits; empty where there is none.

    Args:
        paths: Absolute.
        groups: Patterns by name; one with `/` or not fits a path's end as well: `leaf/*`.

    Raises:
        DataError: A group has no image.
    """

    def label(path: str) -> str:
        for name, patterns in groups.items():
            if any(fnmatch.fnmatchcase(path, f"*/{pattern.lstrip('/')}") for pattern in patterns):
                return name
        return ""

    labels = [label(path) for path in paths]
    if empty := [name for name in groups if name not in labels]:
        raise DataError("No image of the index fits the patterns of:", empty)
    return labels


def precision_at(index: ImageIndex, labels: Sequence[str], k: int) -> list[Precision]:
    """Measures the nearest `k` others of every image that has a label, among those that have one.

    Args:
        index: Whose images are the queries.
        labels: One for each image; empty leaves an image out.
        k: How many of the nearest are counted.

    Returns:
        One for each label, in alphabetical order.

    Raises:
        DataError: Fewer images have a label than are counted.
    """
    rows = np.array([row for row, label in enumerate(labels) if label], np.int64)
    if len(rows) <= k:
        raise DataError(f"Precision@{k} needs more than {k} images; {len(rows)} have a label.")
    chosen = np.array(labels, object)
    neighbors = np.concatenate(
        [
            _nearest(index, rows[start : start + CHUNK], chosen, k)
            for start in range(0, len(rows), CHUNK)
        ]
    )
    found = []
    for label in sorted(set(chosen[rows])):
        own = neighbors[chosen[rows] == label]
        counts = Counter(own.ravel().tolist())
        right = counts.pop(label, 0)
        confused = [(name, count / own.size) for name, count in counts.most_common(3)]
        found.append(Precision(label, len(own), right / own.size, confused))
    return found


def _nearest(
    index: ImageIndex, rows: NDArray[np.int64], labels: NDArray[np.object_], k: int
) -> NDArray[np.object_]:
    """Returns the labels of the nearest others that have one, `(q, k)`."""
    fetched = 2 * k + 10
    while True:
        _, found = index.vectors.search(index.vectors.vectors[rows], fetched)
        is_usable = (labels[found] != "") & (found != rows[:, None])
        if (is_usable.sum(1) >= k).all() or fetched >= len(index):
            break
        fetched = min(2 * fetched, len(index))
    return np.array([labels[f[use][:k]] for f, use in zip(found, is_usable, strict=True)], object)


def table(measured: Sequence[Precision], k: int) -> str:
    """Returns a Markdown table, with the mean over images and over labels below it."""
    total = sum(one.count for one in measured)
    over_images = sum(one.precision * one.count for one in measured) / total
    over_labels = sum(one.precision for one in measured) / len(measured)
    lines = [f"| label | images | precision@{k} | taken for |", "|---|---|---|---|"]
    for one in measured:
        taken = ", ".join(f"{name} {part:.1%}" for name, part in one.confused)
        lines.append(f"| {one.label} | {one.count:,} | {one.precision:.1%} | {taken} |")
    lines.append(f"| mean over images | {total:,} | {over_images:.1%} | |")
    lines.append(f"| mean over labels | {len(measured)} labels | {over_labels:.1%} | |")
    return "\n".join(lines)
