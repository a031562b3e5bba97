"""Clusters of images: which image belongs where, and folders of them."""

import csv
import dataclasses
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.errors import ArtifactError, DataError
from seg.features.clusters import cluster
from seg.search.image_index import ImageIndex

LIST = "clusters.csv"
WAYS = ("list", "link", "copy")


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """Images that are alike.

    Attributes:
        name: Its number, the largest cluster first.
        paths: Its images, those nearest to its center first.
        similarities: Cosine similarity of each with the center.
    """

    name: str
    paths: list[str]
    similarities: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return dataclasses.asdict(self)


def find_clusters(index: ImageIndex, k: int | None) -> tuple[list[Cluster], str]:
    """Divides the images of an index; returns clusters, the largest first, and why so many.

    Raises:
        DataError: The index is empty, or holds fewer images than `k`.
    """
    if not len(index):
        raise DataError("The index holds no image; add some with search_images.py add.")
    if k is not None and k > len(index):
        raise DataError(f"{k} clusters need as many images; the index holds {len(index)}.")
    vectors = index.vectors.vectors
    centroids, labels, why = cluster(vectors, k)
    similarities = np.einsum("nd,nd->n", vectors, centroids[labels])
    members = [np.flatnonzero(labels == name) for name in range(len(centroids))]
    members = sorted((m for m in members if len(m)), key=len, reverse=True)
    width = len(str(max(len(members) - 1, 10)))
    clusters = []
    for number, rows in enumerate(members):
        rows = rows[np.argsort(-similarities[rows], kind="stable")]
        paths = [index.entries[row].path for row in rows]
        clusters.append(Cluster(f"{number:0{width}}", paths, similarities[rows].tolist()))
    return clusters, why


def check_folder(folder: Path) -> None:
    """Raises ArtifactError where something is in the place of a new folder."""
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise ArtifactError(f"{folder} exists already; choose a different --output.")


def write_clusters(folder: Path, clusters: Sequence[Cluster], way: str) -> list[str]:
    """Writes a folder with `clusters.csv` and, on demand, a folder for each cluster.

    The folder gets its name when it is complete. The images themselves stay where they are.

    Args:
        folder: Does not exist, or is empty.
        clusters: What is written.
        way: Of `WAYS`: `list` writes the list alone, `link` symbolic links, `copy` copies.

    Returns:
        A line for each image that is not there any more, or cannot be read.

    Raises:
        ArtifactError: The folder exists, or cannot be written.
    """
    check_folder(folder)
    part = folder.with_name(f".part-{secrets.token_hex(8)}")
    faults: list[str] = []
    try:
        part.mkdir(parents=True)
        _write_list(part / LIST, clusters)
        for one in clusters if way != "list" else ():
            (part / one.name).mkdir()
            faults += _fill(part / one.name, one.paths, way)
        part.rename(folder)
    except OSError as error:
        raise ArtifactError(f"Cannot write {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return faults


def _write_list(path: Path, clusters: Sequence[Cluster]) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cluster", "similarity", "path"])
        for one in clusters:
            pairs = zip(one.similarities, one.paths, strict=True)
            writer.writerows([one.name, f"{score:.4f}", path_] for score, path_ in pairs)


def _fill(folder: Path, paths: Sequence[str], way: str) -> list[str]:
    """Links or copies images into a folder, under different names; returns what failed."""
    faults, taken = [], set()
    for source in map(Path, paths):
        name, number = source.name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{source.stem}-{number}{source.suffix}"
        taken.add(name.casefold())
        if not source.is_file():
            faults.append(f"{source}: not there any more")
        elif way == "link":
            (folder / name).symlink_to(source)
        else:
            try:
                shutil.copy2(source, folder / name)
            except PermissionError:
                faults.append(f"{source}: cannot be read (Permission denied)")
    return faults
