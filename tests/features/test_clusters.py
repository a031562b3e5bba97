"""The silhouette against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from seg.features.clusters import cluster, silhouette
from tests.features.test_index import clustered


@pytest.mark.parametrize("k", [2, 5, 30])
def test_the_silhouette_is_that_of_scikit_learn(k: int) -> None:
    vectors = clustered(300)
    labels = np.random.default_rng(0).integers(0, k, 300)
    labels[:150] = cluster(vectors, k)[1][:150]
    expected = silhouette_score(vectors, labels, metric="cosine")
    assert silhouette(vectors, labels) == pytest.approx(expected, abs=1e-4)


def test_a_cluster_of_one_counts_nothing() -> None:
    vectors, labels = clustered(20), np.array([0] * 12 + [1] * 7 + [2])
    expected = silhouette_score(vectors, labels, metric="cosine")
    assert silhouette(vectors, labels) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_vectors_are_one_cluster(count: int) -> None:
    centroids, labels, _ = cluster(clustered(count))
    assert len(centroids) == 1 and (labels == 0).all()


def test_as_many_clusters_as_vectors_have_one_each() -> None:
    _, labels, why = cluster(clustered(6), 6)
    assert sorted(labels) == list(range(6)) and why == "6 clusters, as asked for"
