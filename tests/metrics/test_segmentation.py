"""Metrics of masks: one row of numbers that adds up over images."""

import numpy as np
import pytest

from seg.errors import ShapeError
from seg.metrics import SegmentationMetrics
from seg.results import UInt8


def boxes(*places: tuple[int, int, int, int]) -> UInt8:
    """A mask of 100 x 60 with boxes (top, bottom, left, right)."""
    mask = np.zeros((100, 60), np.uint8)
    for top, bottom, left, right in places:
        mask[top:bottom, left:right] = 1
    return mask


SMALL, LARGE = (0, 10, 0, 5), (5, 85, 40, 50)


def test_a_sum_of_rows_is_the_metrics_of_all_images() -> None:
    one = SegmentationMetrics.of_image(boxes(SMALL, LARGE), boxes(LARGE), 2)
    two = SegmentationMetrics.of_image(boxes(), boxes(SMALL), 2)
    back = one.from_row(one.to_row() + two.to_row())
    assert back.compute() == pytest.approx((one + two).compute(), nan_ok=True)
    assert two.false_positive_area == back.false_positive_area == pytest.approx(50 / 6000)
    assert np.isnan(two.compute()["foreground_iou"])
    assert back.compute()["foreground_iou"] == 800 / 900


def test_images_one_by_one_are_the_sum_of_their_metrics() -> None:
    pairs = [(boxes(SMALL, LARGE), boxes(LARGE)), (boxes(), boxes(SMALL)), (boxes(), boxes())]
    updated = SegmentationMetrics(2)
    for pair in pairs:
        updated.update(*pair)
    one, two, three = (SegmentationMetrics.of_image(*pair, 2) for pair in pairs)
    assert np.array_equal(updated.to_row(), (one + two + three).to_row())
    assert updated.num_background_only == 2
    assert updated.false_positive_area == pytest.approx(50 / 6000 / 2)


def test_metrics_of_other_classes_do_not_add_up() -> None:
    with pytest.raises(ShapeError, match="different numbers of classes"):
        SegmentationMetrics(2) + SegmentationMetrics(3)
