"""The guided filter against loops over windows, and against its own defining properties."""

import numpy as np
import pytest

from seg import Segmenter, ShapeError
from seg.imaging.guided_filter import EPSILON, GuidedFilter, luminance
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs

RNG = np.random.default_rng(0)


def brute_force(guide, scores, radius, epsilon):
    """The paper's equations 5, 6 and 8, window by window, in float64."""
    height, width = guide.shape
    guide, scores = guide.astype(np.float64), scores.astype(np.float64)

    def window(y, x):
        return (
            slice(max(0, y - radius), min(height, y + radius + 1)),
            slice(max(0, x - radius), min(width, x + radius + 1)),
        )

    slope, offset = np.zeros(guide.shape), np.zeros(guide.shape)
    for y in range(height):
        for x in range(width):
            g, p = guide[window(y, x)].ravel(), scores[window(y, x)].ravel()
            covariance = np.mean((g - g.mean()) * (p - p.mean()))
            slope[y, x] = covariance / (g.var() + epsilon)
            offset[y, x] = p.mean() - slope[y, x] * g.mean()
    filtered = np.zeros(guide.shape)
    for y in range(height):
        for x in range(width):
            mean = slope[window(y, x)].mean(), offset[window(y, x)].mean()
            filtered[y, x] = mean[0] * guide[y, x] + mean[1]
    return filtered


@pytest.mark.parametrize(("radius", "epsilon"), [(1, 1e-3), (3, 1e-2), (4, 1e-4)])
def test_it_is_what_the_paper_says(radius, epsilon):
    guide = RNG.random((23, 31), np.float32)
    scores = RNG.normal(0, 3, (23, 31)).astype(np.float32)
    expected = brute_force(guide, scores, radius, epsilon)
    np.testing.assert_allclose(GuidedFilter(guide, radius, epsilon)(scores), expected, atol=2e-3)


def test_constant_scores_stay_and_on_flat_guides_it_is_two_box_means():
    guide = RNG.random((20, 30), np.float32)
    constant = np.full((20, 30), -7.5, np.float32)
    np.testing.assert_allclose(GuidedFilter(guide, 3)(constant), constant, rtol=1e-5)
    spike = np.zeros((21, 21), np.float32)
    spike[10, 10] = 81
    filtered = GuidedFilter(np.full((21, 21), 0.5, np.float32), 1)(spike)
    triangle = np.convolve([1, 1, 1], [1, 1, 1])
    np.testing.assert_allclose(filtered[8:13, 8:13], np.outer(triangle, triangle), atol=1e-4)


def test_scores_that_are_linear_in_the_guide_are_kept():
    """There a is the slope times var / (var + eps): close to it where the image has edges."""
    guide = (RNG.random((30, 40)) > 0.5).astype(np.float32)
    scores = 6 * guide - 2
    np.testing.assert_allclose(GuidedFilter(guide, 4)(scores), scores, atol=6 * EPSILON * 8)


def test_it_is_linear_so_a_margin_is_filtered_as_one_map():
    follow = GuidedFilter(RNG.random((20, 30), np.float32), 3)
    one, two = RNG.normal(size=(2, 20, 30)).astype(np.float32)
    np.testing.assert_allclose(follow(two - one), follow(two) - follow(one), atol=1e-3)


def test_coarse_scores_move_to_the_images_edge():
    """A network with cells of 16 pixels cannot draw an edge at 40; the image has one there."""
    image = np.full((128, 128, 3), 40, np.uint8)
    image[:, 40:] = 200

    def coarse(images):
        cells = images[:, 0].reshape(1, 8, 16, 8, 16).mean((2, 4))
        person = (cells > 0.4) * 2.0 - 1
        # Sees the edge in its cell, 32 to 48, and calls all of the cell person.
        return np.stack([-person, person], 1).astype(np.float32)

    spec = ModelSpec(
        arch="fake", outputs=segmentation_outputs(("no", "yes")), input_hw=(128, 128), stride=16
    )
    plain = Segmenter(FakeRuntime(coarse, spec))(image).labels
    guided = Segmenter(FakeRuntime(coarse, spec), guided=True)(image).labels
    truth = np.zeros((128, 128), bool)
    truth[:, 40:] = True
    assert (plain != truth).mean() == 8 / 128  # between the centers of cells
    assert (guided != truth).mean() <= 2 / 128


def test_luminance_is_that_of_rec_601():
    pixels = np.zeros((1, 3, 1, 3), np.float32)
    pixels[0, [0, 1, 2], 0, [0, 1, 2]] = 1
    np.testing.assert_allclose(luminance(pixels), [[0.299, 0.587, 0.114]], rtol=1e-6)


def test_other_arrays_are_refused():
    with pytest.raises(ShapeError, match="guide is float32"):
        GuidedFilter(np.zeros((4, 4)), 1)
    with pytest.raises(ShapeError, match=r"\(4, 4\); got scores \(4, 5\)"):
        GuidedFilter(np.zeros((4, 4), np.float32), 1)(np.zeros((4, 5), np.float32))
