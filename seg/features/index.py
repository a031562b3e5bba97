"""VectorIndex: the nearest of many vectors, by exact or approximate search. The one door to FAISS.

Three kinds (Johnson, Douze and Jégou 2017, arXiv:1702.08734):

flat    compares with every vector: exact
hnsw    a graph of neighbors (Malkov and Yashunin 2016, arXiv:1603.09320) over 8-bit copies: fast,
        about 656 bytes a vector beside the vectors themselves at 384 dimensions
ivfpq   cells, and codes of one byte for 8 dimensions: about 60 bytes a vector at 384 dimensions

The approximate kinds find candidates, whose similarities are then computed from the vectors
themselves; so every similarity that is returned is exact, and only whether a neighbor is missed is
approximate. How wide they search is set when they are built, for `TARGET_RECALL`.
"""

import dataclasses
import time
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from seg.errors import EngineMissing
from seg.features.vectors import check_vectors
from seg.results import Float32, UInt8

Int64 = NDArray[np.int64]
FLAT, HNSW, IVFPQ = "flat", "hnsw", "ivfpq"
KINDS = (FLAT, HNSW, IVFPQ)
FLAT_UP_TO = 100_000  # vectors; exact search of as many takes some milliseconds
HNSW_UP_TO = 2_000_000  # vectors; from there on a graph takes more than a gigabyte
LEAST_IVFPQ = 39 * 256  # vectors; FAISS wants 39 for each of a code's 256 values
TARGET_RECALL = 0.97  # of the 10 nearest, on held-out rows; so that new queries reach 0.95
NUM_TUNING_QUERIES = 200
NUM_NEIGHBORS = 10
REBUILD_AT = 0.1  # fraction of vectors added or removed since the graph or the cells were built
WIDTHS = {HNSW: (32, 64, 128, 256, 512, 1024), IVFPQ: (4, 8, 16, 32, 64, 128, 256, 512)}
CANDIDATES = {HNSW: 10, IVFPQ: 30}  # ranked by the vectors themselves, for each that is wanted
NUM_TRAINING = 200_000  # vectors that cells and codes are learned from, at most
CHUNK = 256  # queries compared at once: bounds the memory of their candidates


def choose_kind(num_vectors: int) -> tuple[str, str]:
    """Returns the kind of index that suits a number of vectors, and why."""
    if num_vectors <= FLAT_UP_TO:
        return FLAT, f"up to {FLAT_UP_TO:,} vectors, exact search is fast"
    if num_vectors <= HNSW_UP_TO:
        return HNSW, f"for {FLAT_UP_TO:,} to {HNSW_UP_TO:,} vectors, a graph is the fastest"
    return IVFPQ, f"beyond {HNSW_UP_TO:,} vectors, a graph would need much memory"


@dataclasses.dataclass(kw_only=True, slots=True)
class Approximation:
    """What FAISS built of some vectors.

    Attributes:
        kind: `hnsw` or `ivfpq`.
        index: FAISS's own object.
        rows: `(m,)`, the row of each vector it was built of; -1 where that was removed.
        width: How wide it searches: HNSW's efSearch, or the number of cells (nprobe).
        recall: Recall of the `NUM_NEIGHBORS` nearest against exact search when it was built.
    """

    kind: str
    index: Any
    rows: Int64
    width: int
    recall: float


class VectorIndex:
    """Finds the nearest of L2-normalized vectors, by their inner product.

    Vectors that are added after `build` are searched exactly until the next one.

    Args:
        vectors: float32 `(n, d)`, each of length 1; may be mapped into memory, and is not copied.

    Attributes:
        vectors: As given, and what was added.
        approximation: None where the search is exact.

    Raises:
        ShapeError: The vectors have another shape, dtype or length.
        EngineMissing: FAISS is not installed.
    """

    def __init__(self, vectors: Float32, approximation: Approximation | None = None) -> None:
        import_faiss()  # before any work is done
        self.vectors = vectors if approximation else check_vectors(vectors)
        self.approximation = approximation

    @property
    def kind(self) -> str:
        """How it searches: one of `KINDS`."""
        return self.approximation.kind if self.approximation else FLAT

    @property
    def description(self) -> str:
        """The kind, the number of vectors and, where it is approximate, the recall when built."""
        said = f"index {self.kind}: {len(self):,} vectors"
        if self.approximation:
            said += f", recall@{NUM_NEIGHBORS} {self.approximation.recall:.3f} of exact search"
        return said

    def __len__(self) -> int:
        return len(self.vectors)

    def add(self, vectors: Float32) -> None:
        """Adds vectors behind the others.

        Raises:
            ShapeError: They have another shape, dtype or length.
        """
        check_vectors(vectors, self.vectors.shape[1])
        self.vectors = np.concatenate([self.vectors, vectors])

    def keep(self, is_kept: NDArray[np.bool_]) -> None:
        """Removes the vectors where `is_kept`, `(n,)`, is false; the others move up."""
        if self.approximation:
            rows = self.approximation.rows
            new_rows = np.where(is_kept, np.cumsum(is_kept) - 1, -1)
            self.approximation.rows = np.where(rows >= 0, new_rows[rows], -1)
        self.vectors = self.vectors[is_kept]

    def build(self, kind: str | None = None) -> str:
        """Builds what a kind of search needs, if it is not there or was made for other vectors.

        Args:
            kind: One of `KINDS`; None chooses by the number of vectors.

        Returns:
            What was chosen and why, and the recall where it is approximate.
        """
        chosen, why = (kind, "as asked for") if kind else choose_kind(len(self))
        if chosen == IVFPQ and len(self) < LEAST_IVFPQ:
            chosen, why = FLAT, f"ivfpq needs at least {LEAST_IVFPQ:,} vectors"
        elif chosen == HNSW and not len(self):
            chosen, why = FLAT, "there is no vector"
        took = ""
        if chosen == FLAT:
            self.approximation = None
        elif self.kind != chosen or self._is_stale():
            started = time.monotonic()
            self.approximation = _approximate(self.vectors, chosen)
            took = f"; built in {time.monotonic() - started:.1f} s"
        return f"{self.description} ({why}){took}"

    def search(self, queries: Float32, k: int) -> tuple[Float32, Int64]:
        """Finds the nearest vectors of each query.

        Args:
            queries: float32 `(q, d)`, each of length 1.
            k: How many, at least 1; all where there are fewer.

        Returns:
            Cosine similarities and rows, both `(q, min(k, n))`, the nearest first.

        Raises:
            ShapeError: The queries have another shape, dtype or length.
        """
        check_vectors(queries, self.vectors.shape[1])
        if self.approximation is None:
            return search_exactly(self.vectors, queries, k)
        k = min(k, len(self))
        parts = [
            self._search_widely(self.approximation, queries[start : start + CHUNK], k)
            for start in range(0, max(len(queries), 1), CHUNK)
        ]
        scores, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        return scores, rows

    def recall(self, k: int = NUM_NEIGHBORS, num_queries: int = NUM_TUNING_QUERIES) -> float:
        """Returns which fraction of the `k` nearest of sampled rows it finds, 0..1."""
        if self.approximation is None:
            return 1.0
        return _recall(self, _sample(len(self), num_queries), k)

    def _is_stale(self) -> bool:
        assert self.approximation is not None
        num_valid = int((self.approximation.rows >= 0).sum())
        num_changed = len(self) - num_valid + len(self.approximation.rows) - num_valid
        return num_changed > REBUILD_AT * len(self)

    def _search_widely(
        self, approximation: Approximation, queries: Float32, k: int
    ) -> tuple[Float32, Int64]:
        """Fetches more candidates until each query has `k`, and ranks them by the vectors."""
        num_valid = int((approximation.rows >= 0).sum())
        if not num_valid:
            return search_exactly(self.vectors, queries, k)
        wanted = fetched = min(CANDIDATES[approximation.kind] * max(k, NUM_NEIGHBORS), num_valid)
        while True:
            candidates, is_all = _candidates(approximation, queries, fetched)
            num_found = (candidates >= 0).sum(1)
            if (is_all | (num_found >= wanted)).all():
                break
            fetched = min(2 * fetched, len(approximation.rows))
        least = wanted if num_valid < len(approximation.rows) else min(k, num_valid)
        scores = np.einsum("qcd,qd->qc", self.vectors[candidates.clip(0)], queries)
        scores[candidates < 0] = -np.inf
        if len(self) > num_valid:
            added = search_exactly(self.vectors[num_valid:], queries, k)
            scores = np.concatenate([scores, added[0]], axis=1)
            candidates = np.concatenate([candidates, added[1] + num_valid], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, rows = (np.take_along_axis(array, order, 1) for array in (scores, candidates))
        if (is_short := num_found < least).any():  # cells that were not visited hold the rest
            found = search_exactly(self.vectors, queries[is_short], k)
            scores[is_short], rows[is_short] = found
        return scores, rows

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Returns what `from_arrays` restores it from: plain values, and arrays."""
        arrays: dict[str, NDArray[Any]] = {"vectors": np.ascontiguousarray(self.vectors)}
        values: dict[str, Any] = {"kind": self.kind, "dimension": self.vectors.shape[1]}
        if approximation := self.approximation:
            arrays["faiss"] = import_faiss().serialize_index(approximation.index)
            arrays["rows"] = approximation.rows
            values |= {"width": approximation.width, "recall": approximation.recall}
        return values, arrays

    @classmethod
    def from_arrays(cls, values: dict[str, Any], arrays: dict[str, UInt8]) -> Self:
        """Restores what `to_arrays` returned, its arrays as bytes; vectors are not copied."""
        vectors = arrays["vectors"].view(np.float32).reshape(-1, values["dimension"])
        if values["kind"] == FLAT:
            return cls(vectors)
        index = import_faiss().deserialize_index(np.asarray(arrays["faiss"]))
        rows = np.array(arrays["rows"].view(np.int64))
        approximation = Approximation(
            kind=values["kind"], index=index, rows=rows,
            width=values["width"], recall=values["recall"],
        )  # fmt: skip
        return cls(vectors, approximation)


def search_exactly(vectors: Float32, queries: Float32, k: int) -> tuple[Float32, Int64]:
    """Returns similarities and rows of the nearest, both `(q, min(k, n))`, the nearest first."""
    k = min(k, len(vectors))
    if not k or not len(queries):
        empty = len(queries), k
        return np.empty(empty, np.float32), np.empty(empty, np.int64)
    faiss = import_faiss()
    return faiss.knn(queries, vectors, k, metric=faiss.METRIC_INNER_PRODUCT)  # type: ignore[no-any-return]


def kmeans(vectors: Float32, k: int, seed: int = 0) -> tuple[Float32, Int64]:
    """Divides vectors into clusters by spherical k-means.

    Args:
        vectors: float32 `(n, d)`, each of length 1.
        k: How many clusters, 1 to n.
        seed: Of the first centroids.

    Returns:
        Centroids of length 1, `(k, d)`, and the nearest one of each vector, `(n,)`.
    """
    faiss = import_faiss()
    model = faiss.Kmeans(
        vectors.shape[1], k, niter=25, nredo=3, seed=seed, spherical=True,
        min_points_per_centroid=1, max_points_per_centroid=len(vectors),
    )  # fmt: skip
    model.train(np.ascontiguousarray(vectors))
    centroids = np.asarray(model.centroids, np.float32)
    return centroids, search_exactly(centroids, vectors, 1)[1][:, 0]


def import_faiss() -> Any:
    """Imports FAISS; the one place.

    Raises:
        EngineMissing: It is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise EngineMissing(
            "Searching images needs the package faiss-cpu: pip install faiss-cpu"
        ) from error
    return faiss


def _approximate(vectors: Float32, kind: str) -> Approximation:
    """Builds a graph, or cells and codes, and searches no wider than `TARGET_RECALL` needs."""
    faiss = import_faiss()
    index = faiss.index_factory(vectors.shape[1], _factory(len(vectors), vectors.shape[1], kind))
    index.train(np.ascontiguousarray(vectors[_sample(len(vectors), NUM_TRAINING)]))
    index.add(vectors)
    rows = np.arange(len(vectors), dtype=np.int64)
    made = Approximation(kind=kind, index=index, rows=rows, width=0, recall=0.0)
    sample = _sample(len(vectors), NUM_TUNING_QUERIES)
    for made.width in WIDTHS[kind]:
        made.recall = _recall(VectorIndex(vectors, made), sample, NUM_NEIGHBORS)
        if made.recall >= TARGET_RECALL:
            break
    return made


def _factory(num_vectors: int, dimension: int, kind: str) -> str:
    """Returns FAISS's words for an index."""
    if kind == HNSW:
        return "HNSW32,SQ8"
    num_cells = min(round(4 * num_vectors**0.5), num_vectors // 39)
    num_codes = next(m for m in range(max(1, dimension // 8), 0, -1) if dimension % m == 0)
    return f"IVF{num_cells},PQ{num_codes}"


def _candidates(
    approximation: Approximation, queries: Float32, count: int
) -> tuple[Int64, NDArray[np.bool_]]:
    """Returns rows `(q, count)`, -1 where one is missing or removed, and who would get no more."""
    faiss, width = import_faiss(), approximation.width
    if approximation.kind == HNSW:
        params = faiss.SearchParametersHNSW(efSearch=max(width, count))
    else:
        params = faiss.SearchParametersIVF(nprobe=width)
    found = approximation.index.search(queries, count, params=params)[1]
    is_all = (found < 0).any(1) | (count == len(approximation.rows))
    return np.where(found >= 0, approximation.rows[found], -1), is_all


def _recall(index: VectorIndex, sample: Int64, k: int) -> float:
    """Returns the recall of the `k` nearest others of sampled rows; equal similarities count."""
    if len(index) < 2:
        return 1.0
    queries = np.ascontiguousarray(index.vectors[sample])
    exact = search_exactly(index.vectors, queries, k + 1)
    found = index.search(queries, k + 1)
    least = _others(*exact, sample).min(1, keepdims=True)
    return float((_others(*found, sample) >= least - 1e-6).mean())


def _others(scores: Float32, rows: Int64, own: Int64) -> Float32:
    """Leaves out each query's own row, or the last one where that is not among them."""
    is_own = rows == own[:, None]
    is_own[~is_own.any(1), -1] = True
    return np.asarray(scores[~is_own].reshape(len(scores), -1), np.float32)


def _sample(num_vectors: int, count: int) -> Int64:
    """Returns different rows, sorted, the same each time."""
    count = min(count, num_vectors)
    return np.sort(np.random.default_rng(0).choice(num_vectors, count, replace=False))
