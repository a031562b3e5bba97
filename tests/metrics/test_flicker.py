"""Flicker: counted by hand on masks whose flips are known."""

import numpy as np
import pytest

from seg import ShapeError
from seg.metrics.flicker import Flips, TemporalConsistency, VideoConsistency, is_static

EMPTY = np.zeros((10, 10), np.uint8)


def block(rows, columns):
    mask = EMPTY.copy()
    mask[rows, columns] = 1
    return mask


def test_three_flips_of_fifty_static_pixels_in_half_a_second_are_twelve_percent_a_second():
    flips, static = Flips(), np.zeros((10, 10), bool)
    static[:5] = True
    after = block(slice(4, 6), slice(0, 3))  # three above the border of what is static, three below
    flips.add(after, EMPTY, static, 0.5)
    assert flips.rate == pytest.approx(3 / (50 * 0.5))
    flips.add(after, after, static, 0.5)
    assert flips.rate == pytest.approx(3 / 50)


def test_a_pixel_is_static_up_to_two_levels_either_way():
    before = np.full((1, 6), 100, np.uint8)
    after = np.array([[97, 98, 100, 102, 103, 0]], np.uint8)
    assert is_static(after, before).tolist() == [[False, True, True, True, False, False]]


def test_consistency_is_the_iou_where_the_flow_is_known():
    tc = TemporalConsistency(2)
    known = np.ones((10, 10), bool)
    tc.add(block(slice(0, 4), slice(0, 4)), block(slice(0, 4), slice(2, 6)), known)
    assert tc.mean == pytest.approx(8 / 24)
    known[:, 4:] = False
    other = TemporalConsistency(3)
    other.add(block(slice(0, 4), slice(0, 4)), block(slice(0, 4), slice(2, 6)), known)
    assert other.mean == pytest.approx(8 / 16)


def test_video_consistency_follows_a_pixel_for_n_frames():
    vc, rng = VideoConsistency(3), np.random.default_rng(0)
    labels = rng.integers(0, 2, (6, 4, 5), dtype=np.uint8)
    labels[:, 0, 0] = 255
    labels[:, 1:3] = labels[0, 1:3]
    predicted = np.where(rng.random(labels.shape) < 0.8, labels, 1 - np.minimum(labels, 1))
    predicted = predicted.astype(np.uint8)
    right = stays = 0
    for start in range(4):
        for row in range(4):
            for column in range(5):
                truth = labels[start : start + 3, row, column].tolist()
                if len(set(truth)) == 1 and truth[0] != 255:
                    stays += 1
                    right += predicted[start : start + 3, row, column].tolist() == truth
    for one, other in zip(labels, predicted, strict=True):
        vc.add(one, other)
    assert vc.counts.tolist() == [right, stays] and 0 < right < stays
    vc.reset()
    for one, other in zip(labels[:2], predicted[:2], strict=True):
        vc.add(one, other)
    assert vc.counts.tolist() == [right, stays]


def test_what_has_nothing_to_count_is_not_a_number():
    assert np.isnan([Flips().rate, TemporalConsistency(2).mean, VideoConsistency(8).mean]).all()


def test_sizes_that_differ_are_refused():
    with pytest.raises(ShapeError, match="one size"):
        Flips().add(EMPTY, EMPTY[1:], EMPTY > 0, 1.0)
