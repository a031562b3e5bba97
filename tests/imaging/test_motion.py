"""Motion: a texture that moves by known pixels."""

import cv2
import numpy as np
import pytest

from seg.imaging.motion import DisFlow, is_cut, is_explained, resize_flow, warp

WIDE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 255, (120, 220), dtype=np.uint8), (0, 0), 2
)
WIDE = cv2.normalize(WIDE, None, 0, 255, cv2.NORM_MINMAX)
BEFORE, AFTER = WIDE[10:106, 10:170], WIDE[13:109, 15:175]  # the camera goes 5 right, 3 down
INNER = slice(16, -16), slice(16, -16)


@pytest.mark.parametrize("is_fine", [False, True])
def test_flow_points_to_where_a_pixel_was(is_fine):
    flow = DisFlow(is_fine)(AFTER, BEFORE)
    assert np.median(np.abs(flow[INNER] - (5, 3))) < 0.3
    assert np.abs(warp(BEFORE, flow)[INNER].astype(int) - AFTER[INNER]).mean() < 8


def test_warping_takes_whole_labels_where_they_must_stay_whole():
    labels = np.zeros((8, 8), np.uint8)
    labels[:, 4:] = 200
    flow = np.zeros((8, 8, 2), np.float32)
    flow[..., 0] = 1.6
    assert set(np.unique(warp(labels, flow, is_nearest=True))) == {0, 200}
    assert set(np.unique(warp(labels, flow))) > {0, 200}


def test_what_comes_in_at_the_border_or_is_covered_is_not_explained():
    flow = np.full((96, 160, 2), (5, 3), np.float32)
    known = is_explained(AFTER, BEFORE, flow)
    assert known[:-3, :-5].all() and not known[-3:].any() and not known[:, -5:].any()
    covered = AFTER.copy()
    covered[20:40, 20:40] = 255 - covered[20:40, 20:40]
    known = is_explained(covered, BEFORE, flow)
    changed = np.abs(covered.astype(int) - AFTER) > 25
    assert not known[changed].any()


def test_flow_of_another_size_has_its_lengths_in_those_pixels():
    flow = np.full((96, 160, 2), (5, 3), np.float32)
    np.testing.assert_allclose(resize_flow(flow, (24, 80)), np.full((24, 80, 2), (2.5, 0.75)))


def test_a_pan_is_no_cut_and_another_scene_is():
    scene = cv2.resize(WIDE[::10, ::10], (220, 120), interpolation=cv2.INTER_CUBIC) // 3 + 80
    assert not is_cut(scene[13:109, 15:175], scene[10:106, 10:170])
    assert is_cut(255 - BEFORE // 4, BEFORE)


def test_tiny_images_have_no_motion():
    assert not DisFlow()(AFTER[:8, :8], BEFORE[:8, :8]).any()
