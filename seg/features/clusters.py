"""How many clusters vectors have, by their silhouette (Rousseeuw 1987)."""

import numpy as np
from numpy.typing import NDArray

from seg.features.index import kmeans
from seg.results import Float32

CHOICES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48)
SAMPLED = 2000  # vectors that silhouettes are computed of, at most


def cluster(
    vectors: Float32, k: int | None = None, seed: int = 0
) -> tuple[Float32, NDArray[np.int64], str]:
    """Divides vectors into clusters.

    Args:
        vectors: float32 `(n, d)`, n at least 1, each of length 1.
        k: How many, 1 to n; None takes the choice with the largest mean silhouette.
        seed: Of the first centroids.

    Returns:
        Centroids `(k, d)`, the cluster of each vector `(n,)`, and why there are as many.
    """
    if k is not None or len(vectors) < 4:
        k = k or 1
        return *kmeans(vectors, k, seed), f"{k} clusters, as asked for" if len(vectors) > 3 else ""
    found = {}
    for count in CHOICES:
        if count <= len(vectors) // 2:
            centroids, labels = kmeans(vectors, count, seed)
            found[count] = silhouette(vectors, labels, seed), centroids, labels
    best = max(found, key=lambda count: found[count][0])
    tried = ", ".join(f"{count}: {score:.3f}" for count, (score, *_) in found.items())
    why = f"{best} clusters, whose mean silhouette is the largest ({tried})"
    return found[best][1], found[best][2], why


def silhouette(vectors: Float32, labels: NDArray[np.int64], seed: int = 0) -> float:
    """Returns the mean silhouette of vectors by cosine distance, -1..1, the larger the better.

    Of more than `SAMPLED` vectors, as many are drawn.
    """
    count = min(SAMPLED, len(vectors))
    rows = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
    chosen, names = vectors[rows], np.unique(labels[rows], return_inverse=True)[1]
    sizes = np.bincount(names)
    if len(sizes) < 2:
        return 0.0
    distances = 1 - chosen @ chosen.T
    np.fill_diagonal(distances, 0)
    sums = np.stack([distances[:, names == name].sum(1) for name in range(len(sizes))], axis=1)
    own, everyone = sums[np.arange(count), names], np.arange(count)
    inside = own / np.maximum(sizes[names] - 1, 1)
    means = sums / sizes
    means[everyone, names] = np.inf
    outside = means.min(1)
    values = (outside - inside) / np.maximum(np.maximum(outside, inside), 1e-12)
    values[sizes[names] == 1] = 0
    return float(values.mean())
