"""Queries: the images of an index that are most like a given one."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.errors import DataError
from seg.imaging.contact_sheet import Cell
from seg.imaging.image_io import IMAGE_SUFFIXES, read_image
from seg.imaging.native_stderr import opencv_silenced
from seg.results import Float32
from seg.search.image_index import ImageIndex, absolute
from seg.search.results_page import Row
from seg.search.update import BATCH, Embed
from seg.video.image_folder import ImageFolder

LISTS = (".txt", ".lst")  # a path in each line
log = logging.getLogger("dinoseg")


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """An image that was found.

    Attributes:
        path: Absolute.
        similarity: Cosine similarity with the query, -1..1.
        is_missing: Whether the file is not there any more.
    """

    path: str
    similarity: float
    is_missing: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What was found for a query, the most similar first."""

    query: Path
    hits: list[Hit]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return {"query": str(self.query), "hits": [dataclasses.asdict(hit) for hit in self.hits]}


def query_paths(text: str, recursive: bool = False) -> list[Path]:
    """Returns the images that a word names: an image, a folder, a pattern, or a list of paths.

    Raises:
        DataError: The file is neither an image nor a list.
        SourceError: Nothing is there.
    """
    path = Path(text)
    if path.suffix.lower() in LISTS and path.is_file():
        return _listed(path)
    if path.is_file():
        return [path]  # reading it says whether it is an image
    return list(ImageFolder(text, recursive).paths.values())


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    paths = [Path(line.strip()) for line in lines if line.strip()]
    if not paths:
        raise DataError(f"{path}: expected the path of an image in each line; it is empty")
    if paths[0].suffix.lower() not in IMAGE_SUFFIXES and not paths[0].is_file():
        raise DataError(f"{path}: expected the path of an image in each line; got '{paths[0]}'")
    return paths


def embed_queries(paths: Sequence[Path], embed: Embed) -> tuple[list[Path], Float32, list[str]]:
    """Reads and embeds images; returns those it could, their vectors, and a line for each other.

    Raises:
        DataError: None can be read.
    """
    readable: list[Path] = []
    vectors, faults = [], []
    for start in range(0, len(paths), BATCH):
        images = []
        for path in paths[start : start + BATCH]:
            try:
                with opencv_silenced():
                    images.append(read_image(path))
                readable.append(path)
            except DataError as error:
                faults.append(str(error))
        if images:
            vectors.append(embed(images))
    if not readable:
        raise DataError(faults[0]) if len(faults) == 1 else DataError("No query is read:", faults)
    return readable, np.concatenate(vectors), faults


def search(index: ImageIndex, paths: Sequence[Path], vectors: Float32, top: int) -> list[Answer]:
    """Finds the images of an index that are most like given ones, without those themselves.

    Args:
        index: Where to search.
        paths: Of the queries.
        vectors: Theirs, float32 `(q, d)`.
        top: How many; all where the index holds fewer, which is said.

    Raises:
        DataError: The index is empty.
    """
    if not len(index):
        raise DataError("The index holds no image; add some with search_images.py add.")
    if top > len(index):
        log.info("The index holds %d images, fewer than --top %d; all are shown.", len(index), top)
    scores, rows = index.vectors.search(vectors, top + 1)
    answers = []
    for path, near, found in zip(paths, scores, rows, strict=True):
        pairs = [
            (index.entries[row].path, float(score)) for row, score in zip(found, near, strict=True)
        ]
        others = [pair for pair in pairs if pair[0] != absolute(path)][:top]
        hits = [Hit(name, score, not Path(name).exists()) for name, score in others]
        answers.append(Answer(path, hits))
    _name_missing(answers)
    return answers


def row_of(answer: Answer) -> Row:
    """Returns an answer as it is shown: the query first."""
    cells = [Cell(str(answer.query), "query")]
    cells += [Cell(hit.path, f"{hit.similarity:.3f}") for hit in answer.hits]
    return Row(str(answer.query), cells)


def _name_missing(answers: Sequence[Answer]) -> None:
    gone = dict.fromkeys(hit.path for answer in answers for hit in answer.hits if hit.is_missing)
    if gone:
        number = "1 image found is" if len(gone) == 1 else f"{len(gone)} images found are"
        log.warning(
            "%s not there any more, such as %s; 'search_images.py remove --missing' takes them out "
            "of the index.", number, next(iter(gone)),
        )  # fmt: skip
