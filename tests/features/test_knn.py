"""Nearest neighbors against scikit-learn, and votes counted by hand."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from seg.errors import ShapeError, SpecMismatch
from seg.features import knn
from seg.features.knn import knn_scores, leave_one_out_scores


def clouds(count, seed, width=8):
    """Points around one center for each of four classes."""
    centers = 2 * np.random.default_rng(7).normal(size=(4, width))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    vectors = centers[labels] + rng.normal(size=(count, width)) * 1.5
    return vectors.astype(np.float32), labels


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (5, 1.0), (20, 0.07), (20, 0.001)])
def test_shares_are_scikit_learns(k, temperature, monkeypatch):
    monkeypatch.setattr(knn, "MAX_CELLS", 1000)  # several parts
    (gallery, labels), (queries, _) = clouds(200, 0), clouds(57, 1)
    # Of vectors of length 1, the squared distance is 2 - 2 cosine.
    reference = KNeighborsClassifier(
        k, algorithm="brute", metric="cosine",
        weights=lambda distances: np.exp(-(distances - distances.min(1)[:, None]) / temperature),
    )  # fmt: skip
    expected = reference.fit(gallery, labels).predict_proba(queries)
    found = knn_scores(queries, gallery, labels, 4, k, temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_leaving_one_out_is_a_gallery_without_it():
    vectors, labels = clouds(40, 3)
    found = leave_one_out_scores(vectors, labels, 4, k=7)
    for index in range(len(vectors)):
        rest = np.delete(np.arange(40), index)
        alone = knn_scores(vectors[index : index + 1], vectors[rest], labels[rest], 4, 7)
        np.testing.assert_allclose(found[index], alone[0], atol=1e-6)


def test_votes_are_those_counted_by_hand():
    gallery = np.array([[1, 0], [0, 2], [3, 4], [-1, 0]], np.float32)
    labels = np.array([0, 1, 1, 2])
    # Cosines with (5, 0): 1, 0, 0.6, -1. Of three neighbors: e^(1/0.5), e^(0.6/0.5), e^0.
    one, other = np.exp(2.0), np.exp(1.2) + 1
    found = knn_scores(np.array([[5, 0]], np.float32), gallery, labels, 3, 3, 0.5)
    np.testing.assert_allclose(found, [[one / (one + other), other / (one + other), 0]], rtol=1e-5)
    # At DINO's temperature the nearest one alone counts.
    assert knn_scores(np.array([[5, 0]], np.float32), gallery, labels, 3, 3)[0, 0] > 0.99


def test_what_makes_no_sense_is_one_line():
    vectors, labels = clouds(10, 0)
    with pytest.raises(SpecMismatch, match="20 neighbors were asked for, and there are 10 images"):
        knn_scores(vectors, vectors, labels, 4)
    with pytest.raises(SpecMismatch, match="10 neighbors were asked for, and there are 9"):
        leave_one_out_scores(vectors, labels, 4, 10)
    assert knn_scores(vectors, vectors, labels, 4, 10).shape == (10, 4)
    for settings in ((0, 0.07), (3, 0.0)):
        with pytest.raises(SpecMismatch, match="at least 1"):
            knn_scores(vectors, vectors, labels, 4, *settings)
    with pytest.raises(ShapeError, match="a label is outside"):
        knn_scores(vectors, vectors, labels, 3, 1)
    with pytest.raises(ShapeError, match="of one width"):
        knn_scores(vectors[:, 1:], vectors, labels, 4, 1)
    with pytest.raises(ShapeError, match="one for each"):
        knn_scores(vectors, vectors, labels[1:], 4, 1)
