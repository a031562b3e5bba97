"""Ways to turn patches into colors, and the file that keeps one: colors mean the same next time."""

import dataclasses
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import cv2
import numpy as np

from seg.errors import ArtifactError, SpecMismatch
from seg.features.pca import PcaView, thinned
from seg.features.vectors import normalized
from seg.files.atomic import atomic_write
from seg.imaging.palette import Palette
from seg.results import Float32, UInt8

FORMAT = "dinoseg feature view 1"
ROUNDS = 5  # of k-means, from other centers; the best is taken
STEPS = 50
MAX_CLUSTERS = 255  # labels are bytes


class View(Protocol):
    """Colors of patches."""

    kind: ClassVar[str]

    def colors(self, patches: Float32) -> UInt8:
        """Returns the color of each patch: `(h, w, D)` -> uint8 `(h, w, 3)` BGR."""

    def arrays(self) -> Mapping[str, Float32]:
        """Returns what a file keeps of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class KMeansView:
    """Patches in the color of the cluster that they are in.

    Attributes:
        centers: `(K, D)`, of patches of length 1.
    """

    kind: ClassVar[str] = "kmeans"

    centers: Float32

    @classmethod
    def fit(cls, grids: Sequence[Float32], num_clusters: int) -> Self:
        """Finds the clusters of the patches `(h, w, D)` of some images; the largest comes first.

        Raises:
            SpecMismatch: There are fewer patches than clusters, or more than 255 clusters.
        """
        vectors = normalized(thinned(grids))
        most = min(len(vectors), MAX_CLUSTERS)
        if not 1 <= num_clusters <= most:
            raise SpecMismatch(
                f"Expected 1 to {most} clusters of {len(vectors)} patches; got {num_clusters}."
            )
        cv2.setRNGSeed(0)
        criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, STEPS, 1e-4)
        labels = np.zeros((len(vectors), 1), np.int32)
        _, labels, centers = cv2.kmeans(  # type: ignore[assignment]
            vectors, num_clusters, labels, criteria, ROUNDS, cv2.KMEANS_PP_CENTERS
        )
        order = np.argsort(-np.bincount(labels.ravel(), minlength=num_clusters), kind="stable")
        return cls(np.asarray(centers[order], np.float32))

    def labels(self, patches: Float32) -> UInt8:
        """Returns the cluster of each patch: `(h, w, D)` -> uint8 `(h, w)`."""
        # The nearest center: |v - c|^2 without |v|^2, which is the same for all.
        distances = (self.centers**2).sum(1) - 2 * normalized(patches) @ self.centers.T
        return np.asarray(distances.argmin(-1), np.uint8)

    def colors(self, patches: Float32) -> UInt8:
        """As of `View`."""
        palette = Palette()
        table = np.array([palette[label + 1] for label in range(len(self.centers))], np.uint8)
        return table[self.labels(patches)]

    def arrays(self) -> Mapping[str, Float32]:
        """As of `View`."""
        return {"centers": self.centers}


@dataclasses.dataclass(frozen=True, slots=True)
class SimilarityView:
    """How similar each patch is to one: its cosine, from dark blue to yellow.

    Attributes:
        query: `(D,)`, of length 1.
        low: `(1,)`, the cosine that is darkest; 1 is brightest.
    """

    kind: ClassVar[str] = "similarity"

    query: Float32
    low: Float32

    @classmethod
    def fit(cls, patches: Float32, at: tuple[int, int]) -> Self:
        """Compares with the patch in row and column `at` of `(h, w, D)`.

        The darkest color is for the least similar twentieth of the patches of this image.
        """
        unit = normalized(patches)
        low = np.percentile(unit @ unit[at], 5)
        return cls(unit[at].copy(), np.array([min(low, 0.999)], np.float32))

    def similarity(self, patches: Float32) -> Float32:
        """Returns the cosine of each patch with the query: `(h, w, D)` -> `(h, w)`."""
        return np.asarray(normalized(patches) @ self.query, np.float32)

    def colors(self, patches: Float32) -> UInt8:
        """As of `View`."""
        low = float(self.low[0])
        levels = np.clip((self.similarity(patches) - low) / (1 - low), 0, 1)
        gray = np.asarray(np.rint(255 * levels), np.uint8)
        return np.asarray(cv2.applyColorMap(gray, cv2.COLORMAP_VIRIDIS), np.uint8)

    def arrays(self) -> Mapping[str, Float32]:
        """As of `View`."""
        return {"query": self.query, "low": self.low}


VIEWS: dict[str, type[PcaView] | type[KMeansView] | type[SimilarityView]] = {
    kind.kind: kind for kind in (PcaView, KMeansView, SimilarityView)
}


def save_view(path: Path, view: View, source: str) -> None:
    """Writes a view, atomically.

    Args:
        path: The file.
        view: What to keep.
        source: What made the features, so that no other's are colored with it.
    """
    about = json.dumps({"format": FORMAT, "kind": view.kind, "source": source})
    arrays: dict[str, Any] = {"about": np.array(about), **view.arrays()}
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def load_view(path: Path, source: str) -> View:
    """Reads a view.

    Args:
        path: A file of `save_view`.
        source: What makes the features that it is for.

    Raises:
        ArtifactError: The file is missing, damaged or foreign.
        SpecMismatch: It was made with other features.
    """
    if not path.is_file():
        raise ArtifactError(f"No basis at {path}.")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["format"] != FORMAT:
                raise ValueError("another format")
            arrays = {name: np.asarray(file[name], np.float32) for name in file if name != "about"}
        view: View = VIEWS[about["kind"]](**arrays)
        made_by = str(about["source"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"{path} is not a basis of feature images, or is damaged; choose another file, or "
            "delete it to have it made again."
        ) from error
    if made_by != source:
        raise SpecMismatch(
            f"{path} was made with the features of {made_by}; this model's are {source}. Choose "
            "another file to make a new one."
        )
    return view
