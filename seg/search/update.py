"""Keeping an index up to date: only new and changed files are embedded."""

import dataclasses
import fnmatch
import logging
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.errors import DataError
from seg.progress import track
from seg.results import Float32, UInt8
from seg.search.image_index import Entry, ImageIndex, absolute
from seg.video.image_folder import ImageFolder

BATCH = 32  # images read before the network runs; it takes those of one size together
CHECKPOINT_S = 60.0
PAUSE = 20  # saving takes at most one part in as many of the time
log = logging.getLogger("dinoseg")
Embed = Callable[[Sequence[UInt8]], Float32]  # images, BGR -> (n, d), each of length 1


@dataclasses.dataclass(kw_only=True, slots=True)
class Update:
    """What an update has done.

    Attributes:
        added: Number of images that are new.
        changed: Number of images that were embedded anew, since their files had changed.
        unchanged: Number of images that were left as they are.
        failures: A line for each image that could not be read.
        elapsed_s: How long the new and the changed ones took.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)
    elapsed_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        done = self.added + self.changed
        said = f"{self.added} new, {self.changed} changed, {self.unchanged} as they were"
        rate = f"; {done / self.elapsed_s:.1f} images/s" if done and self.elapsed_s else ""
        return said + rate


def update(
    index: ImageIndex,
    texts: Sequence[str],
    recursive: bool,
    embed: Embed,
    save: Callable[[], None],
) -> Update:
    """Embeds the images that are new or changed, and saves the index every now and then.

    Where it is interrupted, what is done is saved first.

    Args:
        index: Is changed.
        texts: Files, folders or patterns.
        recursive: Whether folders in folders are searched, too.
        embed: Returns the vectors of images.
        save: Writes the index.

    Raises:
        SourceError: There is no image.
    """
    known = {entry.path: entry for entry in index.entries}
    report, found = Update(), dict[str, Entry | None]()
    sources = [ImageFolder(text, recursive) for text in texts]
    for source in sources:
        source.keep(lambda path: _is_wanted(path, known, found, report))
    total = sum(source.num_frames or 0 for source in sources)
    batches = _Batches(index, embed, save, report)
    started = time.monotonic()
    frames = ((frame.image, source.paths[frame.name]) for source in sources for frame in source)
    try:
        for image, path in track(frames, "embedding", total, "image"):
            # As the file was before it was read: one that changes meanwhile is read again.
            if entry := found[absolute(path)]:
                batches.add(entry, image)
        batches.embed()
    finally:
        if not batches.has_failed:
            batches.flush()
            report.elapsed_s = time.monotonic() - started
            log.info("%s", report)
    report.failures += [line for source in sources for line in source.failures]
    return report


def _is_wanted(
    path: Path, known: dict[str, Entry], found: dict[str, Entry | None], report: Update
) -> bool:
    """Tells whether a file is new or has changed; each file once."""
    name = absolute(path)
    if name in found:
        return False
    try:
        found[name] = Entry.of(path)
    except OSError:  # reading it will say why
        found[name] = None
    is_known = name in known and known[name] == found[name]
    report.unchanged += is_known
    return not is_known


class _Batches:
    """Collects images for the network, and vectors for the index."""

    def __init__(
        self, index: ImageIndex, embed: Embed, save: Callable[[], None], report: Update
    ) -> None:
        self._index, self._embed, self._save, self._report = index, embed, save, report
        self._read: list[Entry] = []
        self._images: list[UInt8] = []
        self._entries: list[Entry] = []
        self._vectors: list[Float32] = []
        self._next_save = time.monotonic() + CHECKPOINT_S
        self.has_failed = False

    def add(self, entry: Entry, image: UInt8) -> None:
        """Takes an image; embeds and saves where there are enough."""
        self._read.append(entry)
        self._images.append(image)
        if len(self._images) == BATCH:
            self.embed()

    def embed(self) -> None:
        """Runs the network on what was collected."""
        if self._images:
            vectors = self._embed(self._images)
            is_usable = np.linalg.norm(vectors, axis=1) > 0.5  # else it is all zeros
            for entry, usable in zip(self._read, is_usable, strict=True):
                if not usable:
                    self._report.failures.append(f"{entry.path}: the network sees nothing in it")
            pairs = zip(self._read, is_usable, strict=True)
            self._entries += [entry for entry, usable in pairs if usable]
            self._vectors.append(vectors[is_usable])
            self._read, self._images = [], []
        if time.monotonic() >= self._next_save:
            self.flush()

    def flush(self) -> None:
        """Puts what is embedded into the index, and saves it."""
        if not self._entries:
            return
        known = {entry.path for entry in self._index.entries}
        changed = sum(entry.path in known for entry in self._entries)
        self._report.changed += changed
        self._report.added += len(self._entries) - changed
        started = time.monotonic()
        self.has_failed = True
        self._index.replace(self._entries, np.concatenate(self._vectors))
        self._entries, self._vectors = [], []
        self._save()
        self.has_failed = False
        took = time.monotonic() - started
        self._next_save = time.monotonic() + max(CHECKPOINT_S, PAUSE * took)


def missing(index: ImageIndex) -> list[str]:
    """Returns the paths of images that are not there any more."""
    return [entry.path for entry in index.entries if not Path(entry.path).exists()]


def select(index: ImageIndex, texts: Collection[str]) -> list[str]:
    """Returns the paths in an index that are named: files, folders, or patterns with `*?[`.

    Raises:
        DataError: One names no image of the index; lists them all.
    """
    found: dict[str, list[str]] = {}
    paths = [entry.path for entry in index.entries]
    for text in texts:
        name = absolute(text)
        folder = name.rstrip("/") + "/"
        is_pattern = any(sign in text for sign in "*?[")
        found[text] = [
            path
            for path in paths
            if path == name or path.startswith(folder)
            or (is_pattern and fnmatch.fnmatchcase(path, name))
        ]  # fmt: skip
    if unknown := [text for text, hits in found.items() if not hits]:
        raise DataError("Not in the index; nothing was removed:", unknown)
    return list(dict.fromkeys(path for hits in found.values() for path in hits))
