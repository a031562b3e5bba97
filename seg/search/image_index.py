"""ImageIndex: feature vectors of image files, with what tells a file from a changed one, in a file.

The file is replaced as a whole, so that readers and killed writers never meet a half-written one;
every byte is checked when it is opened.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from seg.errors import ArtifactError, SpecMismatch
from seg.features.index import VectorIndex
from seg.features.vectors import check_vectors
from seg.files.atomic import check_writable, remove_temp_files
from seg.files.lock import open_locked
from seg.files.sections import read_sections, write_sections
from seg.results import Float32, UInt8

MAGIC = b"dinoseg index 1\n"
WHAT, REMEDY = "index of images", "make it again with search_images.py index"
TEMP_FILE_AGE_S = 3600.0  # older ones are left from a process that was killed


class Entry(NamedTuple):
    """One image file.

    Attributes:
        path: Absolute.
        size: In bytes, when it was read.
        mtime_ns: When it was last changed before it was read.
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Describes a file as it is now; raises OSError where it cannot."""
        facts = path.stat()
        return cls(absolute(path), facts.st_size, facts.st_mtime_ns)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VectorSource:
    """Where vectors come from; those of different sources are not comparable.

    Attributes:
        arch: The backbone's name.
        weights_id: Hash of the backbone's weights.
        layers: Numbers of the layers that are read; empty where there is no choice.
        pooling: Which vector of an image: `cls` or `mean`.
        fit: How images are fitted, such as `letterbox`.
        input_hw: Into what size, height first.
        dimension: Length of a vector.
    """

    arch: str
    weights_id: str
    layers: str
    pooling: str
    fit: str
    input_hw: tuple[int, int]
    dimension: int

    def check_same(self, other: "VectorSource", path: Path) -> None:
        """Raises SpecMismatch where `other` makes vectors that an index at `path` cannot hold."""
        names = (field.name for field in dataclasses.fields(self))
        wrong = [name for name in names if getattr(self, name) != getattr(other, name)]
        if wrong:
            mine, theirs = (
                ", ".join(f"{name} {_short(getattr(one, name))}" for name in wrong)
                for one in (self, other)
            )
            raise SpecMismatch(
                f"{path} holds vectors of {mine}; this model makes {theirs}. Use the model it was "
                "made with, or index into another file."
            )


class ImageIndex:
    """Feature vectors of images, and which files they are of.

    Args:
        source: Where the vectors come from.
        model: The model's file, for later commands.
        kind: The kind of search that was asked for; None goes by size.

    Attributes:
        entries: One for each vector, in the same order.
        vectors: What searches them.
    """

    def __init__(self, source: VectorSource, model: str, kind: str | None = None) -> None:
        self.source, self.model, self.kind = source, model, kind
        self.entries: list[Entry] = []
        self.vectors = VectorIndex(np.empty((0, source.dimension), np.float32))

    def __len__(self) -> int:
        return len(self.entries)

    def replace(self, entries: Sequence[Entry], vectors: Float32) -> None:
        """Adds images; those whose path is in the index already take the place of the old ones.

        Args:
            entries: Of different paths.
            vectors: float32 `(n, d)`, each of length 1.

        Raises:
            ShapeError: The vectors have another shape, dtype or length.
        """
        check_vectors(vectors, self.source.dimension)
        self.remove(entry.path for entry in entries)
        self.vectors.add(vectors)
        self.entries += entries

    def remove(self, paths: Iterable[str]) -> int:
        """Removes images by their paths; returns how many there were."""
        gone = set(paths)
        is_kept = np.array([entry.path not in gone for entry in self.entries], bool)
        if is_kept.all():
            return 0
        self.vectors.keep(is_kept)
        self.entries = [entry for entry in self.entries if entry.path not in gone]
        return int((~is_kept).sum())

    def save(self, path: Path) -> None:
        """Writes the index; readers see the old file or the whole new one.

        Raises:
            ArtifactError: The file cannot be written.
        """
        values, arrays = self.vectors.to_arrays()
        fields = {
            "source": dataclasses.asdict(self.source),
            "model": self.model,
            "asked_kind": self.kind,
            "search": values,
        }
        columns = [list(column) for column in zip(*self.entries, strict=True)] or [[], [], []]
        text = json.dumps(columns).encode("ascii")
        arrays["entries"] = np.frombuffer(text, np.uint8)
        remove_temp_files(path.parent, TEMP_FILE_AGE_S)
        write_sections(path, MAGIC, fields, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Opens an index; its vectors stay in the file, mapped into memory.

        Raises:
            ArtifactError: The file is missing, no index, of another version, cut or damaged.
            EngineMissing: FAISS is not installed.
        """
        fields, arrays = read_sections(path, MAGIC, WHAT, REMEDY)
        try:
            return cls._restore(fields, arrays)
        except (KeyError, TypeError, ValueError) as error:  # every byte is as it was written
            raise ArtifactError(
                f"{path} was made by another version of dinoseg; {REMEDY}."
            ) from error

    @classmethod
    def _restore(cls, fields: dict[str, Any], arrays: dict[str, UInt8]) -> Self:
        values = fields["source"]
        source = VectorSource(**values | {"input_hw": tuple(values["input_hw"])})
        index = cls(source, fields["model"], fields["asked_kind"])
        columns = json.loads(arrays["entries"].tobytes())
        index.entries = [Entry(*row) for row in zip(*columns, strict=True)]
        index.vectors = VectorIndex.from_arrays(fields["search"], arrays)
        if len(index.vectors) != len(index.entries):
            raise ValueError("as many entries as vectors")
        return index


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes from changing an index meanwhile; waits where one does.

    Raises:
        ArtifactError: The folder cannot be written to.
    """
    check_writable(path, overwrite=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open_locked(path.with_name(f".{path.name}.lock"))
        with lock:
            yield
    except OSError as error:
        raise ArtifactError(f"Cannot write {path}: {error.strerror or error}.") from error


def absolute(path: Path | str) -> str:
    """Returns a path as the index holds it: absolute, without `..`, links not followed."""
    return os.path.abspath(path)  # noqa: PTH100 - pathlib follows links where it removes `..`


def _short(value: object) -> str:
    return f"{value[1]}x{value[0]}" if isinstance(value, tuple) else str(value)[:16]
