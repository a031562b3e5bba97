"""Principal components against scikit-learn, and colors of a foreground that is known."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from seg.errors import SpecMismatch
from seg.features import pca
from seg.features.pca import PcaView, principal_components, thinned


def signs(found, expected):
    """scikit-learn chooses signs by another rule."""
    return np.sign((found * expected).sum(1, keepdims=True)) * expected


def test_components_are_scikit_learns():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12)) + 5).astype(np.float32)
    reference = PCA(3, svd_solver="full").fit(vectors.astype(np.float64))
    mean, found = principal_components(vectors, 3)
    np.testing.assert_allclose(mean, reference.mean_, rtol=1e-5)
    np.testing.assert_allclose(found, signs(found, reference.components_), atol=1e-5)
    assert (found[np.arange(3), np.abs(found).argmax(1)] > 0).all()  # the rule of the sign


def scene(seed, turn=1.0, hw=(12, 16), width=8):
    """Patches of a ground, and of an object in the middle that varies in three directions."""
    rng = np.random.default_rng(seed)
    patches = rng.normal(scale=0.02, size=(*hw, width))
    patches[..., 7] += 3
    inside = np.zeros(hw, bool)
    inside[3:9, 4:11] = True
    patches[inside, 0] += 4
    patches[inside, 7] = 0
    patches[inside, 1:4] += rng.normal(size=(inside.sum(), 3)) * (1.5, 1.0, 0.5)
    return (turn * patches).astype(np.float32), inside


@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_the_foreground_is_what_lies_less_on_the_borders(turn):
    scenes = [scene(seed, turn) for seed in range(3)]
    view = PcaView.fit([patches for patches, _ in scenes])
    for patches, inside in scenes:
        np.testing.assert_array_equal(view.is_foreground(patches), inside)
        black = (view.colors(patches) == 0).all(2)
        assert black[~inside].all() and black[inside].mean() < 0.05


def test_colors_are_the_foregrounds_components_by_scikit_learn():
    scenes = [scene(seed) for seed in range(4)]
    view = PcaView.fit([patches for patches, _ in scenes])
    foreground = np.concatenate([patches[inside] for patches, inside in scenes])
    foreground /= np.linalg.norm(foreground, axis=1, keepdims=True)
    reference = PCA(3, svd_solver="full").fit(foreground.astype(np.float64))
    expected = signs(view.components, reference.components_)
    np.testing.assert_allclose(view.components, expected, atol=1e-4)
    values = (foreground - reference.mean_) @ expected.T
    low, high = np.percentile(values, [1, 99], axis=0)
    rgb = np.clip((values - low) / (high - low), 0, 1)
    found = np.concatenate([view.colors(patches)[inside] for patches, inside in scenes])
    np.testing.assert_allclose(found[:, ::-1], 255 * rgb, atol=0.6)


def test_without_the_first_step_everything_is_foreground():
    scenes = [scene(seed)[0] for seed in range(2)]
    view = PcaView.fit(scenes, is_whole=True)
    assert all(view.is_foreground(patches).all() for patches in scenes)
    vectors = np.concatenate([patches.reshape(-1, 8) for patches in scenes]).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reference = PCA(3, svd_solver="full").fit(vectors)
    expected = signs(view.components, reference.components_)
    np.testing.assert_allclose(view.components, expected, atol=1e-4)


def test_a_color_means_the_same_in_each_image():
    (one, inside), (other, _) = scene(0), scene(1)
    view = PcaView.fit([one, other])
    other[5, 6] = one[4, 5]
    assert inside[4, 5]
    assert view.colors(one)[4, 5].tolist() == view.colors(other)[5, 6].tolist() != [0, 0, 0]


def test_many_patches_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(pca, "MAX_PATCHES", 50)
    grid = np.arange(120, dtype=np.float32).reshape(10, 12, 1)
    assert thinned([grid]).ravel().tolist() == [*range(0, 120, 3)]


def test_too_few_patches_are_one_line():
    with pytest.raises(SpecMismatch, match="3 components need at least 4 vectors of 3; got 2 of 8"):
        principal_components(np.ones((2, 8), np.float32), 3)
    with pytest.raises(SpecMismatch, match="1 components need"):
        PcaView.fit([np.ones((1, 1, 8), np.float32)])
