"""Build time, memory, latency and recall of each kind of index, on synthetic vectors.

The vectors lie near a mixture of few dimensions, as features of images do: uniform ones
have no neighbors that stand out, and no index finds them without comparing nearly all.
"""

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from seg.features.index import NUM_NEIGHBORS, VectorIndex, search_exactly
from seg.results import Float32

CHUNK = 100_000  # vectors made at once
# Of 5,224 such vectors the intrinsic dimension is 19.5; of as many photos' features, 17.6 to 21.2.
NUM_CENTERS, LATENT, SPREAD, NOISE = 1000, 48, 1.0, 0.3
log = logging.getLogger("dinoseg")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What one kind of index took and found.

    Attributes:
        kind: Of the index.
        build_s: Seconds to build it.
        index_mb: Size of what is built beside the vectors, in 10^6 bytes.
        vectors_mb: Size of the vectors.
        p50_ms: Median time of a query alone.
        p99_ms: 99th percentile.
        batch_ms: Time of a query among all at once.
        recall: Of the nearest `NUM_NEIGHBORS`, against exact search, on queries that are not in it.
        width: How wide it searches; 0 where it is exact.
    """

    kind: str
    build_s: float
    index_mb: float
    vectors_mb: float
    p50_ms: float
    p99_ms: float
    batch_ms: float
    recall: float
    width: int

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return dataclasses.asdict(self)


def synthetic(count: int, dimension: int, seed: int) -> Float32:
    """Returns vectors of length 1 around 1,000 centers in 48 dimensions, with noise in all.

    Args:
        count: How many.
        dimension: Their length.
        seed: Of the draw; centers and dimensions are the same for all seeds.
    """
    fixed, rng = np.random.default_rng(1), np.random.default_rng(seed)
    centers = fixed.standard_normal((NUM_CENTERS, LATENT), np.float32)
    basis = fixed.standard_normal((LATENT, dimension), np.float32) / np.float32(LATENT**0.5)
    vectors = np.empty((count, dimension), np.float32)
    for start in range(0, count, CHUNK):
        part = vectors[start : start + CHUNK]
        latent = centers[rng.integers(0, NUM_CENTERS, len(part))]
        latent += np.float32(SPREAD) * rng.standard_normal(latent.shape, np.float32)
        part[:] = latent @ basis
        part += np.float32(NOISE) * rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def intrinsic_dimension(vectors: Float32, num_queries: int = 1000, k: int = 20) -> float:
    """Estimates in how many dimensions vectors spread, from the distances of their neighbors.

    The maximum-likelihood estimate of Levina and Bickel (2004), averaged as MacKay and Ghahramani
    propose.
    """
    rows = np.random.default_rng(0).choice(
        len(vectors), min(num_queries, len(vectors)), replace=False
    )
    scores, _ = search_exactly(vectors, np.ascontiguousarray(vectors[np.sort(rows)]), k + 1)
    distances = np.sqrt(np.maximum(2 - 2 * scores[:, 1:].astype(np.float64), 1e-12))
    return float(1 / np.log(distances[:, -1:] / distances[:, :-1]).mean())


def measure(vectors: Float32, queries: Float32, kinds: Sequence[str]) -> list[Measured]:
    """Builds each kind of index and searches it.

    Args:
        vectors: The gallery.
        queries: Not in the gallery.
        kinds: Of `seg.features.index.KINDS`.
    """
    exact = search_exactly(vectors, queries, NUM_NEIGHBORS)[0]
    return [_measure(vectors, queries, kind, exact) for kind in kinds]


def _measure(vectors: Float32, queries: Float32, kind: str, exact: Float32) -> Measured:
    index = VectorIndex(vectors)
    started = time.perf_counter()
    log.info("%s", index.build(kind))
    build_s = time.perf_counter() - started
    times_s = []
    for query in queries:
        started = time.perf_counter()
        index.search(query[None], NUM_NEIGHBORS)
        times_s.append(time.perf_counter() - started)
    started = time.perf_counter()
    scores, _ = index.search(queries, NUM_NEIGHBORS)
    batch_s = time.perf_counter() - started
    arrays = index.to_arrays()[1]
    built = sum(array.nbytes for name, array in arrays.items() if name != "vectors")
    return Measured(
        kind=index.kind,
        build_s=build_s,
        index_mb=built / 1e6,
        vectors_mb=vectors.nbytes / 1e6,
        p50_ms=float(np.percentile(times_s, 50)) * 1e3,
        p99_ms=float(np.percentile(times_s, 99)) * 1e3,
        batch_ms=batch_s / len(queries) * 1e3,
        recall=float((scores >= exact[:, -1:] - 1e-6).mean()),
        width=index.approximation.width if index.approximation else 0,
    )


def table(measured: Sequence[Measured]) -> str:
    """Returns a Markdown table."""
    lines = [
        "| kind | build | vectors and index in memory | p50, p99 of a query | in a batch | "
        f"recall@{NUM_NEIGHBORS} |",
        "|---|---|---|---|---|---|",
    ]
    for one in measured:
        memory = f"{one.vectors_mb:,.0f} + {one.index_mb:,.0f} MB"
        latency = f"{one.p50_ms:.2f}, {one.p99_ms:.2f} ms | {one.batch_ms:.2f} ms"
        lines.append(
            f"| {one.kind} | {one.build_s:.0f} s | {memory} | {latency} | {one.recall:.3f} |"
        )
    return "\n".join(lines)
