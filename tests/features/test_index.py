"""VectorIndex against brute force in numpy."""

import sys

import numpy as np
import pytest

from seg.errors import EngineMissing, ShapeError
from seg.features import index as index_module
from seg.features.index import (
    FLAT,
    HNSW,
    IVFPQ,
    KINDS,
    LEAST_IVFPQ,
    VectorIndex,
    choose_kind,
    kmeans,
)


def normalized(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, seed: int = 0, dimension: int = 32) -> np.ndarray:
    """Vectors near a manifold of 8 dimensions, as features of images are."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    centers, basis = fixed.normal(size=(40, 8)), fixed.normal(size=(8, dimension))
    latent = centers[rng.integers(0, 40, count)] + 0.5 * rng.normal(size=(count, 8))
    return normalized(latent @ basis + 0.05 * rng.normal(size=(count, dimension)))


def brute_force(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(queries.astype(np.float64) @ vectors.T), axis=1)[:, :k]


def recall(found: np.ndarray, expected: np.ndarray) -> float:
    pairs = zip(found, expected, strict=True)
    return float(np.mean([np.isin(right, mine).mean() for mine, right in pairs]))


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(12_000)


@pytest.fixture(scope="module", params=[HNSW, IVFPQ])
def approximate(request, vectors) -> VectorIndex:
    index = VectorIndex(vectors)
    index.build(request.param)
    return index


def test_exact_search_returns_what_brute_force_returns() -> None:
    vectors, queries = clustered(500), clustered(20, seed=1)
    scores, rows = VectorIndex(vectors).search(queries, 7)
    np.testing.assert_array_equal(rows, brute_force(vectors, queries, 7))
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ vectors.T, rows, 1), atol=1e-6)


def test_approximate_search_of_new_queries_finds_95_percent(approximate, vectors) -> None:
    queries = clustered(300, seed=1)
    scores, rows = approximate.search(queries, 10)
    assert recall(rows, brute_force(vectors, queries, 10)) >= 0.95
    exact = np.einsum("qd,qkd->qk", queries, vectors[rows])
    np.testing.assert_allclose(scores, exact, atol=1e-6)  # similarities are exact
    assert (np.diff(scores, axis=1) <= 0).all()


def test_the_recall_that_is_said_is_that_of_brute_force(approximate, vectors) -> None:
    sample = np.random.default_rng(3).choice(len(vectors), 300, replace=False)
    expected = brute_force(vectors, vectors[sample], 11)[:, 1:]  # the first is the row itself
    _, rows = approximate.search(vectors[sample], 11)
    measured = recall(rows[:, 1:], expected)
    assert approximate.approximation.recall == pytest.approx(measured, abs=0.03)


def test_a_wide_search_is_not_needed_but_a_narrow_one_would_miss(vectors) -> None:
    """The oracle of tuning: with fewer cells the recall is below the target."""
    index = VectorIndex(vectors[:LEAST_IVFPQ])
    index.build(IVFPQ)
    assert index.approximation.recall >= index_module.TARGET_RECALL
    assert index.approximation.width < 64
    index.approximation.width = 1
    assert index.recall() < index_module.TARGET_RECALL


def test_added_vectors_are_found_at_once_and_removed_ones_no_more(approximate, vectors) -> None:
    index = VectorIndex.from_arrays(*as_bytes(approximate))
    new = clustered(50, seed=5)
    index.add(new)
    _, rows = index.search(new, 1)
    np.testing.assert_array_equal(rows[:, 0], np.arange(12_000, 12_050))
    is_kept = np.ones(len(index), bool)
    is_kept[:400] = is_kept[12_010] = False
    index.keep(is_kept)
    left = np.concatenate([vectors, new])[is_kept]
    np.testing.assert_array_equal(index.vectors, left)
    queries = clustered(100, seed=1)
    assert recall(index.search(queries, 10)[1], brute_force(left, queries, 10)) >= 0.95
    _, rows = index.search(new[11:], 1)
    np.testing.assert_array_equal(rows[:, 0], np.arange(11_610, 11_649))


def test_where_a_whole_neighborhood_was_removed_as_many_are_returned(approximate, vectors) -> None:
    index = VectorIndex.from_arrays(*as_bytes(approximate))
    query = vectors[:1]
    is_kept = np.ones(len(index), bool)
    is_kept[brute_force(vectors, query, 500)] = False
    index.keep(is_kept)
    expected = brute_force(vectors[is_kept], query, 10)
    assert recall(index.search(query, 10)[1], expected) >= 0.9


def test_where_all_of_a_graph_was_removed_what_was_added_is_found(approximate) -> None:
    index = VectorIndex.from_arrays(*as_bytes(approximate))
    new = clustered(3, seed=5)
    index.add(new)
    index.keep(np.arange(len(index)) >= 12_000)
    np.testing.assert_array_equal(index.search(new, 9)[1][:, 0], [0, 1, 2])


def as_bytes(index: VectorIndex):
    values, arrays = index.to_arrays()
    return values, {name: array.reshape(-1).view(np.uint8) for name, array in arrays.items()}


def test_a_restored_index_answers_as_before(approximate) -> None:
    for index in (approximate, VectorIndex(clustered(500))):
        restored = VectorIndex.from_arrays(*as_bytes(index))
        queries = clustered(50, seed=1)
        for mine, other in zip(index.search(queries, 5), restored.search(queries, 5), strict=True):
            np.testing.assert_array_equal(mine, other)
        assert restored.kind == index.kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_small_gallery_returns_all_it_has(kind: str, count: int) -> None:
    index = VectorIndex(clustered(count))
    index.build(kind)
    scores, rows = index.search(clustered(2, seed=1), 10)
    assert scores.shape == (2, count)
    assert (np.sort(rows, axis=1) == np.arange(count)).all()


def test_too_few_vectors_for_codes_are_said_and_searched_exactly() -> None:
    index = VectorIndex(clustered(100))
    assert index.build(IVFPQ) == "index flat: 100 vectors (ivfpq needs at least 9,984 vectors)"


def test_the_kind_goes_by_size_and_says_why() -> None:
    assert [choose_kind(n)[0] for n in (0, 100_000, 100_001, 2_000_000, 2_000_001)] == [
        FLAT, FLAT, HNSW, HNSW, IVFPQ,
    ]  # fmt: skip
    assert VectorIndex(clustered(9)).build() == (
        "index flat: 9 vectors (up to 100,000 vectors, exact search is fast)"
    )


def test_a_graph_is_built_again_only_after_a_tenth_has_changed(monkeypatch) -> None:
    index = VectorIndex(clustered(1000))
    index.build(HNSW)
    before = index.approximation
    index.add(clustered(90, seed=2))
    index.build(HNSW)
    assert index.approximation is before
    index.keep(np.arange(1090) >= 30)
    index.build(HNSW)
    assert index.approximation is not before
    np.testing.assert_array_equal(index.approximation.rows, np.arange(1060))


def test_an_approximate_index_says_its_recall(approximate) -> None:
    recall = f"{approximate.approximation.recall:.3f}"
    expected = f"index {approximate.kind}: 12,000 vectors, recall@10 {recall} of exact search"
    assert approximate.description == expected
    assert approximate.build(approximate.kind) == f"{expected} (as asked for)"  # not built again


def test_without_faiss_it_is_said_before_any_work(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(EngineMissing, match="needs the package faiss-cpu: pip install faiss-cpu"):
        VectorIndex(clustered(3))


@pytest.mark.parametrize(
    "wrong",
    [
        np.ones((2, 3), np.float32),
        np.zeros((2, 3), np.float32),
        np.full((2, 3), np.nan, np.float32),
        np.eye(3),
        np.ones(3, np.float32),
    ],
)
def test_vectors_of_another_kind_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="Vectors"):
        VectorIndex(wrong)


def test_queries_of_another_dimension_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"float32 \(n, 32\); got float32 \(1, 16\)"):
        VectorIndex(clustered(5)).search(clustered(1, dimension=16), 1)


def test_clusters_are_those_that_were_planted() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [30, 20, 10])
    vectors = normalized(np.eye(8)[truth] + 0.05 * rng.normal(size=(60, 8)))
    centroids, labels = kmeans(vectors, 3)
    assert len(set(zip(truth, labels, strict=True))) == 3
    np.testing.assert_allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)
