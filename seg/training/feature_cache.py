"""Cache: arrays on disk that cost a backbone's run each, made once and read at every epoch.

FOLDER/ARCH-HASH/KEY.features    one entry: a header of JSON, the features, the labels

An entry has its name only when it is whole, so the folder is its own list of what is finished: a
run that is killed goes on where it was, and two runs at once share what either has made.
"""

import hashlib
import json
import math
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seg.errors import ArtifactError
from seg.files.atomic import atomic_write, remove_temp_files
from seg.files.cache_folders import cache_folder, use_entry
from seg.results import UInt8

Float16 = npt.NDArray[np.float16]
Key = Mapping[str, Any]
FORMAT = "dinoseg features 1"
HEADER = 2048  # bytes; the arrays behind it stay aligned
RESERVED_BYTES = 2**28  # bytes of the disk that a cache leaves free
UNFINISHED_S = 3600.0


def default_folder() -> Path:
    """Returns where features are kept."""
    return cache_folder("features")


class Cache:
    """Features and labels of views, for one backbone.

    Args:
        folder: Holds the caches of all backbones; may be deleted whenever nothing trains. One that
            nobody used for 30 days is (`seg.files.cache_folders`).
        backbone: What the features depend on beside the view: name, layers, hash of the weights.

    Attributes:
        folder: This backbone's own folder.
    """

    def __init__(self, folder: Path, backbone: Key) -> None:
        self.backbone = dict(backbone)
        self.folder = folder / f"{backbone['arch']}-{_digest(backbone)[:16]}"
        self._checked: set[Path] = set()
        use_entry(self.folder)
        remove_temp_files(self.folder, UNFINISHED_S)

    def get(self, key: Key, make: Callable[[], tuple[Float16, UInt8]]) -> tuple[Float16, UInt8]:
        """Returns an entry; makes and keeps it where there is none, or a damaged one.

        Args:
            key: Plain values that name a view and everything that decides it.
            make: Computes features `(h, w, C)` and labels `(H, W)`; the same for the same key.

        Returns:
            The arrays, mapped from the file; writing to them changes no file.

        Raises:
            ArtifactError: The entry cannot be written.
        """
        found = self.find(key)
        if found is None:
            self._write(key, *make())
            found = self.find(key)
        if found is None:
            raise ArtifactError(f"{self.path(key)} is not as it was written; check the disk.")
        return found

    def find(self, key: Key) -> tuple[Float16, UInt8] | None:
        """Returns an entry; None where it is missing, cut, damaged, or another backbone's.

        Its bytes are read and checked the first time that a process asks for it.
        """
        path = self.path(key)
        try:
            with path.open("rb") as file:
                header = json.loads(file.read(HEADER))
            if header["key"] != _plain(key) or header["backbone"] != _plain(self.backbone):
                return None
            grid, size = tuple(header["features"]), tuple(header["labels"])
            if path.stat().st_size != entry_bytes(grid, size):
                return None
            if path not in self._checked and _crc32(path) != header["crc32"]:
                return None
            # Copy on write: torch wants arrays that could be written to.
            features = np.memmap(path, np.float16, "c", HEADER, grid)
            labels = np.memmap(path, np.uint8, "c", HEADER + features.nbytes, size)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        self._checked.add(path)
        return features, labels

    def path(self, key: Key) -> Path:
        """Returns where an entry is, or would be."""
        return self.folder / f"{_digest(key)[:32]}.features"

    def reserve(self, num_bytes: int) -> int:
        """Makes sure that the disk has room; returns the bytes that are free.

        Raises:
            ArtifactError: It has not, or the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise ArtifactError(
                f"Cannot make the cache {self.folder}: {error.strerror}; choose a different "
                "--cache-dir."
            ) from error
        if num_bytes and num_bytes + RESERVED_BYTES > free:
            raise ArtifactError(
                f"The features need {format_bytes(num_bytes + RESERVED_BYTES)} in {self.folder}, "
                f"and {format_bytes(free)} are free; make room, choose a different --cache-dir, "
                "take fewer --views, or --no-cache."
            )
        return free

    def _write(self, key: Key, features: Float16, labels: UInt8) -> None:
        content = np.ascontiguousarray(features).data, np.ascontiguousarray(labels).data
        header = {
            "format": FORMAT,
            "key": key,
            "backbone": self.backbone,
            "features": features.shape,
            "labels": labels.shape,
            "crc32": zlib.crc32(content[1], zlib.crc32(content[0])),
        }
        text = json.dumps(header).encode().ljust(HEADER)
        if len(text) > HEADER:
            raise ArtifactError(f"A key of the cache is longer than {HEADER} bytes: {key}.")
        path = self.path(key)
        self._checked.discard(path)
        try:
            with atomic_write(path) as part, part.open("wb") as file:
                for piece in (text, *content):
                    file.write(piece)
        except ArtifactError as error:
            raise ArtifactError(
                f"{str(error).rstrip('.')}; existing entries are intact. Make room and run again, "
                "choose a different --cache-dir, or use --no-cache."
            ) from error


def entry_bytes(grid: tuple[int, ...], labels: tuple[int, ...]) -> int:
    """Returns the size of an entry's file, from the shapes of its arrays."""
    return HEADER + 2 * math.prod(grid) + math.prod(labels)


def format_bytes(num_bytes: int) -> str:
    """Says a size as people do."""
    return f"{num_bytes / 1e9:.2f} GB"


def _plain(key: Key) -> Any:
    return json.loads(json.dumps(key))


def _digest(key: Key) -> str:
    return hashlib.sha256(json.dumps([FORMAT, key], sort_keys=True).encode()).hexdigest()


def _crc32(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(HEADER)
        value = 0
        while piece := file.read(2**20):
            value = zlib.crc32(piece, value)
    return value
