"""k nearest neighbors on features: a classifier without any training.

The protocol of DINO's and DINOv2's evaluations (Wu et al., 2018; Caron et al., 2021): the k vectors
of the gallery with the largest cosine vote, each for its own class and with the weight
exp(cosine / temperature).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seg.errors import ShapeError, SpecMismatch
from seg.features.vectors import normalized
from seg.results import Float32

K = 20
TEMPERATURE = 0.07
MAX_CELLS = 2**24  # similarities that are in memory at once

Labels = NDArray[np.int64]
Neighbors = tuple[Labels, NDArray[np.float64]]  # (Q, k) indices, and cosines in falling order


def knn_scores(
    queries: Float32,
    gallery: Float32,
    labels: Labels,
    num_classes: int,
    k: int = K,
    temperature: float = TEMPERATURE,
) -> Float32:
    """Classifies vectors by their nearest neighbors.

    Args:
        queries: `(Q, D)`, of any length: cosines are compared.
        gallery: `(G, D)`, vectors whose classes are known.
        labels: `(G,)` integers, 0 to `num_classes` - 1.
        num_classes: C.
        k: Number of neighbors that vote.
        temperature: Below 1; the smaller, the more the nearest ones count.

    Returns:
        `(Q, C)`, each class's share of the votes; a row adds up to 1.

    Raises:
        SpecMismatch: There are fewer than `k` vectors in the gallery, or a setting has no meaning.
        ShapeError: The arrays do not fit together.
    """
    _check(queries, gallery, labels, num_classes)
    _check_settings(k, temperature, len(gallery))
    return _vote(_neighbors(queries, gallery, k), labels, num_classes, temperature)


def leave_one_out_scores(
    vectors: Float32,
    labels: Labels,
    num_classes: int,
    k: int = K,
    temperature: float = TEMPERATURE,
) -> Float32:
    """Classifies each vector by the others; arguments, result and errors as of `knn_scores`."""
    _check(vectors, vectors, labels, num_classes)
    _check_settings(k, temperature, len(vectors) - 1)
    return _vote(_neighbors(vectors, None, k), labels, num_classes, temperature)


def _neighbors(queries: Float32, gallery: Float32 | None, k: int) -> Neighbors:
    """Finds each query's nearest vectors; a gallery of None is the queries, without itself."""
    unit = normalized(queries)
    others = unit if gallery is None else normalized(gallery)
    indices = np.empty((len(unit), k), np.int64)
    cosines = np.empty((len(unit), k), np.float64)
    for part in _parts(len(unit), len(others)):
        similar = unit[part] @ others.T
        if gallery is None:
            similar[np.arange(len(similar)), np.arange(part.start, part.stop)] = -np.inf
        nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        nearest.sort(axis=1)  # of equal ones the first comes first
        values = np.take_along_axis(similar, nearest, 1)
        order = np.argsort(-values, axis=1, kind="stable")
        indices[part] = np.take_along_axis(nearest, order, 1)
        cosines[part] = np.take_along_axis(values, order, 1)
    return indices, cosines


def _vote(neighbors: Neighbors, labels: Labels, num_classes: int, temperature: float) -> Float32:
    indices, cosines = neighbors
    # The largest exponent is 0: the shares are the same, and no temperature overflows.
    weights = np.exp((cosines - cosines[:, :1]) / temperature)
    votes = np.zeros((len(indices), num_classes))
    np.add.at(votes, (np.arange(len(indices))[:, None], labels[indices]), weights)
    return np.asarray(votes / votes.sum(1, keepdims=True), np.float32)


def _parts(num_queries: int, num_others: int) -> Iterator[slice]:
    step = max(1, MAX_CELLS // max(1, num_others))
    for start in range(0, num_queries, step):
        yield slice(start, min(start + step, num_queries))


def _check(queries: Float32, gallery: Float32, labels: Labels, num_classes: int) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ShapeError(
            f"Vectors are (Q, D) and (G, D) of one width; got {queries.shape}, {gallery.shape}."
        )
    if labels.shape != gallery.shape[:1]:
        raise ShapeError(f"Expected {len(gallery)} labels, one for each; got {labels.shape}.")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ShapeError(f"There are {num_classes} classes; a label is outside of them.")


def _check_settings(k: int, temperature: float, num_others: int) -> None:
    if k < 1 or not temperature > 0:
        raise SpecMismatch(f"k is at least 1, and the temperature above 0; got {k}, {temperature}.")
    if k > num_others:
        raise SpecMismatch(
            f"{k} neighbors were asked for, and there are {num_others} images to choose from; "
            "take a smaller k or more images."
        )
