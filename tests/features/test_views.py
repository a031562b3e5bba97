"""Clusters and similarities against scikit-learn, and views that come back from their file."""

import json

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity

from seg.errors import ArtifactError, SpecMismatch
from seg.features.pca import PcaView
from seg.features.views import KMeansView, SimilarityView, load_view, save_view


@pytest.fixture
def grids():
    """Three kinds of patches, 100, 60 and 32 of them, in two images."""
    rng = np.random.default_rng(0)
    kinds = np.repeat([0, 1, 2], [100, 60, 32])
    rng.shuffle(kinds)
    patches = np.eye(3, 10)[kinds] * 3 + rng.normal(scale=0.2, size=(192, 10))
    return [*patches.reshape(2, 8, 12, 10).astype(np.float32)], kinds


def test_clusters_are_scikit_learns(grids):
    found, kinds = grids
    view = KMeansView.fit(found, 3)
    labels = np.concatenate([view.labels(grid).ravel() for grid in found])
    vectors = np.concatenate([grid.reshape(-1, 10) for grid in found])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reference = KMeans(3, n_init=5, random_state=0).fit_predict(vectors)
    assert adjusted_rand_score(reference, labels) == 1 == adjusted_rand_score(kinds, labels)
    assert np.bincount(labels).tolist() == [100, 60, 32]  # the largest first
    colors = view.colors(found[0]).reshape(-1, 3)
    assert len({tuple(color) for color in colors.tolist()}) == 3
    np.testing.assert_array_equal(KMeansView.fit(found, 3).centers, view.centers)


def test_similarity_is_scikit_learns_cosine(grids):
    (grid, other), _ = grids
    view = SimilarityView.fit(grid, (2, 5))
    for patches in (grid, other):
        expected = cosine_similarity(patches.reshape(-1, 10), grid[2, 5][None]).reshape(8, 12)
        np.testing.assert_allclose(view.similarity(patches), expected, atol=1e-5)
    # Viridis: the query is yellow, what is least similar dark blue.
    colors = view.colors(grid)
    assert colors[2, 5].tolist() == [37, 231, 253]
    assert colors.reshape(-1, 3)[view.similarity(grid).argmin()].tolist() == [84, 1, 68]


def test_a_view_comes_back_from_its_file(grids, tmp_path):
    found, _ = grids
    views = PcaView.fit(found), KMeansView.fit(found, 4), SimilarityView.fit(found[0], (1, 1))
    for view in views:
        save_view(tmp_path / "view.npz", view, "net, layers 1")
        loaded = load_view(tmp_path / "view.npz", "net, layers 1")
        assert type(loaded) is type(view)
        np.testing.assert_array_equal(loaded.colors(found[1]), view.colors(found[1]))
    assert [path.name for path in tmp_path.iterdir()] == ["view.npz"]


def test_files_that_are_no_view_are_one_line(grids, tmp_path):
    path = tmp_path / "view.npz"
    save_view(path, KMeansView.fit(grids[0], 2), "one")
    with pytest.raises(SpecMismatch, match="made with the features of one; this model's are two"):
        load_view(path, "two")
    whole = path.read_bytes()
    for content in (whole[:-40], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="not a basis of feature images, or is damaged"):
            load_view(path, "one")
    for version, kind in (("1", "x"), ("2", "kmeans")):
        about = {"format": f"dinoseg feature view {version}", "kind": kind, "source": "one"}
        np.savez(path, about=np.array(json.dumps(about)), centers=np.ones((2, 10)))
        with pytest.raises(ArtifactError, match="damaged"):
            load_view(path, "one")
    with pytest.raises(ArtifactError, match="No basis at"):
        load_view(tmp_path / "none.npz", "one")
    with pytest.raises(SpecMismatch, match="1 to 192 clusters of 192 patches; got 193"):
        KMeansView.fit(grids[0], 193)
    with pytest.raises(SpecMismatch, match="1 to 255 clusters of 384 patches; got 256"):
        KMeansView.fit(grids[0] * 2, 256)
