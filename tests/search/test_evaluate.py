"""Precision against a count by hand, and the benchmark's own figures."""

import numpy as np
import pytest

from seg.errors import DataError
from seg.features.index import FLAT, HNSW, IVFPQ, VectorIndex
from seg.search import benchmark
from seg.search.evaluate import labels_by_folder, labels_by_group, precision_at, read_groups, table
from seg.search.image_index import Entry, ImageIndex
from tests.search.conftest import SOURCE


@pytest.fixture
def circle(index: ImageIndex) -> ImageIndex:
    """Six vectors on a circle, at 0, 10, 20, 90, 100 and 130 degrees."""
    vectors = np.zeros((6, SOURCE.dimension), np.float32)
    angles = np.deg2rad([0, 10, 20, 90, 100, 130])
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    names = ["/r/a/0.png", "/r/a/1.png", "/r/b/2.png", "/r/b/3.png", "/r/b/4.png", "/r/c/d/5.png"]
    index.replace([Entry(name, 0, 0) for name in names], vectors)
    return index


def test_precision_is_what_is_counted_by_hand(circle: ImageIndex) -> None:
    labels = labels_by_folder([entry.path for entry in circle.entries])
    assert labels == ["a", "a", "b", "b", "b", "c/d"]
    # Nearest two: 0 -> 1 2, 1 -> 0 2, 2 -> 1 0, 3 -> 4 5, 4 -> 3 5, 5 -> 4 3.
    found = {one.label: one for one in precision_at(circle, labels, 2)}
    assert found["a"].precision == 2 / 4 and found["a"].confused == [("b", 0.5)]
    assert found["b"].precision == 2 / 6
    assert found["b"].confused == [("a", 2 / 6), ("c/d", 2 / 6)]
    assert found["c/d"].precision == 0 and found["c/d"].count == 1
    said = table(list(found.values()), 2)
    assert "| mean over images | 6 | 33.3% | |" in said
    assert "| mean over labels | 3 labels | 27.8% | |" in said


def test_groups_are_patterns_and_images_without_one_are_left_out(circle: ImageIndex) -> None:
    groups = read_groups(["left=a/*", "right=b/3.png,b/4.png"])
    labels = labels_by_group([entry.path for entry in circle.entries], groups)
    assert labels == ["left", "left", "", "right", "right", ""]
    # Nearest one among the labeled: each other, for both groups.
    assert [one.precision for one in precision_at(circle, labels, 1)] == [1.0, 1.0]


def test_groups_without_images_and_bad_words_are_refused(circle: ImageIndex) -> None:
    with pytest.raises(DataError, match="Expected NAME=PATTERN"):
        read_groups(["a/*"])
    with pytest.raises(DataError) as caught:
        labels_by_group(["/r/a/0.png"], {"a": ["a/*"], "empty": ["z/*"]})
    assert caught.value.faults == ("empty",)
    with pytest.raises(DataError, match="needs more than 6 images; 6 have a label"):
        precision_at(circle, ["a"] * 6, 6)


def test_the_benchmark_measures_recall_against_brute_force() -> None:
    vectors, queries = benchmark.synthetic(10_000, 16, 0), benchmark.synthetic(100, 16, 1)
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    measured = benchmark.measure(vectors, queries, [FLAT, HNSW, IVFPQ])
    assert [one.kind for one in measured] == [FLAT, HNSW, IVFPQ]
    index = VectorIndex(vectors)
    index.build(HNSW)
    pairs = zip(index.search(queries, 10)[1], expected, strict=True)
    recall = np.mean([np.isin(mine, right).mean() for mine, right in pairs])
    assert measured[1].recall == pytest.approx(recall, abs=0.005)
    assert measured[0].recall == 1 and measured[0].index_mb == 0
    assert benchmark.table(measured).count("\n") == 4


def test_synthetic_vectors_have_length_1_and_do_not_repeat() -> None:
    first, other = benchmark.synthetic(500, 48, 0), benchmark.synthetic(500, 48, 1)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert (first @ other.T).max() < 0.999
    np.testing.assert_array_equal(first, benchmark.synthetic(500, 48, 0))


@pytest.mark.parametrize("dimension", [2, 5])
def test_the_intrinsic_dimension_of_a_sphere_is_estimated(dimension: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, dimension + 1)).astype(np.float32)
    basis = np.linalg.qr(rng.normal(size=(40, dimension + 1)))[0].astype(np.float32)
    vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)) @ basis.T
    assert benchmark.intrinsic_dimension(vectors) == pytest.approx(dimension, rel=0.12)
