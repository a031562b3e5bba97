"""Near-duplicates: which images of an index could go, because another one shows all that they do.

Features say which images may be copies; pixels decide (`seg.features.registration`).
"""

import dataclasses
import functools
import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seg.errors import DataError, SegError
from seg.features.registration import Overlap, PreparedImage, find_overlap
from seg.imaging.contact_sheet import Cell
from seg.imaging.image_io import read_image
from seg.imaging.native_stderr import opencv_silenced
from seg.progress import track
from seg.search.image_index import Entry, ImageIndex
from seg.search.results_page import Row

MIN_SIMILARITY = 0.75  # cosine; crops to half the area are mostly above it
NEIGHBORS = 20  # of each image that are compared with it
CACHED = 2000  # images that are kept in memory as they are compared, about 0.3 MB each
CHUNK = 1024  # images whose neighbors are searched at once
log = logging.getLogger("dinoseg")


@dataclasses.dataclass(frozen=True, slots=True)
class Duplicate:
    """An image that could go.

    Attributes:
        path: Its file.
        relation: What it is of the image that stays, such as "mirrored, scaled to 50 %".
        similarity: Of their features.
    """

    path: str
    relation: str
    similarity: float


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """An image that stays, and those that could go because it shows all that they do."""

    kept: str
    duplicates: list[Duplicate]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return dataclasses.asdict(self)


def find_duplicates(
    index: ImageIndex, min_similarity: float = MIN_SIMILARITY
) -> tuple[list[Group], list[str]]:
    """Finds images that are contained in another one of an index.

    Of two that show the same, the one with more pixels stays; of equals that with the larger file,
    the older one, the first by its path. A crop that is sharper than the image that shows more
    stays, too.

    Args:
        index: Whose files are read again where their features are alike.
        min_similarity: Cosine from which two images are compared.

    Returns:
        Groups, the largest first, and a line for each image that cannot be read.

    Raises:
        DataError: The index is empty.
    """
    if not len(index):
        raise DataError("The index holds no image; add some with search_images.py add.")
    faults: dict[int, str] = {}

    @functools.lru_cache(CACHED)
    def prepare(row: int) -> PreparedImage | None:
        try:
            with opencv_silenced():
                return PreparedImage(read_image(Path(index.entries[row].path)))
        except SegError as error:
            faults[row] = str(error)
            return None

    candidates = sorted(_candidates(index, min_similarity))
    overlaps: dict[int, dict[int, tuple[Overlap, float]]] = defaultdict(dict)
    sizes: dict[int, int] = {}
    for first, other, similarity in track(candidates, "comparing pairs", unit="pair"):
        image, second = prepare(first), prepare(other)
        if image is None or second is None:
            continue
        if overlap := find_overlap(image, second):
            overlaps[first][other] = overlap, similarity
            overlaps[other][first] = overlap.inverse(), similarity
            sizes |= {first: image.num_pixels, other: second.num_pixels}
    groups = _group(index.entries, overlaps, sizes)
    return groups, [faults[row] for row in sorted(faults)]


def row_of(group: Group) -> Row:
    """Returns a group as it is shown: what stays first."""
    cells = [Cell(one.path, one.relation) for one in group.duplicates]
    return Row(group.kept, [Cell(group.kept, "stays"), *cells])


def _candidates(index: ImageIndex, min_similarity: float) -> Iterator[tuple[int, int, float]]:
    """Yields pairs of rows whose features are alike, each once, the lower row first."""
    found = set()
    for start in range(0, len(index), CHUNK):
        scores, rows = index.vectors.search(
            index.vectors.vectors[start : start + CHUNK], NEIGHBORS + 1
        )
        for own, (near, others) in enumerate(zip(scores, rows, strict=True), start):
            for score, other in zip(near.tolist(), others.tolist(), strict=True):
                pair = min(own, other), max(own, other)
                if own != other and score >= min_similarity and pair not in found:
                    found.add(pair)
                    yield *pair, score


def _group(
    entries: list[Entry],
    overlaps: dict[int, dict[int, tuple[Overlap, float]]],
    sizes: dict[int, int],
) -> list[Group]:
    """Decides who stays; only who was compared with the one that stays can go."""

    def worth(row: int) -> tuple[int, int, int, str]:
        entry = entries[row]
        return -sizes[row], -entry.size, entry.mtime_ns, entry.path

    kept: set[int] = set()
    gone: set[int] = set()
    groups = []
    for row in sorted(sizes, key=worth):
        if row in gone:
            continue
        kept.add(row)
        found = [
            (other, overlap, similarity)
            for other, (overlap, similarity) in overlaps[row].items()
            if overlap.is_contained and other not in kept | gone
        ]
        gone.update(other for other, *_ in found)
        if found:
            duplicates = [Duplicate(entries[o].path, str(how), s) for o, how, s in found]
            duplicates.sort(key=lambda one: one.path)
            groups.append(Group(entries[row].path, duplicates))
    return sorted(groups, key=lambda group: (-len(group.duplicates), group.kept))
