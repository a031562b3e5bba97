"""Objects by height, counted by hand; the bins' pixels add up to the class's."""

import numpy as np
import pytest
from scipy import ndimage

from seg.errors import ShapeError
from seg.metrics import ConfusionMatrix, SizeCounts
from seg.results import UInt8


def counted(
    labels: UInt8, predicted: UInt8, objects: UInt8 | None = None, num_classes: int = 2
) -> SizeCounts:
    counts = SizeCounts(num_classes)
    counts.update(labels, predicted, objects)
    return counts


def image(*boxes: tuple[int, int, int, int], value: int = 1) -> UInt8:
    """A 100 x 60 image with boxes (top, bottom, left, right)."""
    made = np.zeros((100, 60), np.uint8)
    for top, bottom, left, right in boxes:
        made[top:bottom, left:right] = value
    return made


SMALL, MEDIUM, LARGE = (0, 10, 0, 5), (20, 50, 10, 20), (5, 85, 40, 50)


def test_each_object_counts_in_the_bin_of_its_height() -> None:
    labels = image(SMALL, MEDIUM, LARGE)
    predicted = image(SMALL, (20, 50, 10, 15), (5, 85, 38, 50))
    counts = counted(labels, predicted)
    assert counts.counts[1].tolist() == [[50, 50, 1], [150, 300, 1], [800, 960, 1]]
    assert counts.foreground_iou == (1.0, 0.5, 800 / 960)
    assert not counts.counts[0].any() and np.isnan(counts.iou[0]).all()


@pytest.mark.parametrize(("rows", "place"), [(24, 0), (25, 1), (49, 1), (50, 2), (100, 2)])
def test_the_limits_are_a_quarter_and_a_half_of_the_images_height(rows: int, place: int) -> None:
    labels = image((0, rows, 0, 5))
    assert counted(labels, labels).num_objects[1, place] == 1


def test_false_pixels_belong_to_the_nearest_object_they_touch() -> None:
    labels = image(SMALL, LARGE)
    bridge = image(SMALL, LARGE, (6, 8, 5, 40))  # 2 x 35 pixels; 5 to 22 are nearer the small
    counts = counted(labels, bridge)
    assert counts.counts[1, :, 1].tolist() == [50 + 2 * 18, 0, 800 + 2 * 17]


def test_false_positive_objects_count_by_their_own_height() -> None:
    counts = counted(image(LARGE), image(LARGE, (0, 10, 0, 5), (20, 50, 10, 20)))
    assert counts.counts[1].tolist() == [[0, 50, 0], [0, 300, 0], [800, 800, 1]]
    # No small or medium object is labeled: there is no score of them to speak of.
    assert np.isnan(counts.foreground_iou[:2]).all() and counts.foreground_iou[2] == 1


def test_a_missed_object_costs_its_bin_alone() -> None:
    counts = counted(image(SMALL, LARGE), image(LARGE))
    assert counts.foreground_iou[0] == 0 and counts.foreground_iou[2] == 1


def test_numbered_objects_are_kept_apart_where_they_touch() -> None:
    labels = image((0, 60, 0, 10))
    numbers = image((0, 20, 0, 10)) + 2 * image((20, 60, 0, 10))
    assert counted(labels, labels).num_objects[1].tolist() == [0, 0, 1]
    counts = counted(labels, labels, numbers.astype(np.uint8))
    assert counts.counts[1].tolist() == [[200, 200, 1], [400, 400, 1], [0, 0, 0]]


def test_ignored_pixels_are_in_no_bin() -> None:
    labels = image(LARGE)
    labels[:, :20] = 255
    assert counted(labels, image(LARGE, SMALL)).counts[1, :, 1].tolist() == [0, 0, 800]


def test_the_bins_add_up_to_the_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        noise = ndimage.gaussian_filter(rng.normal(size=(2, 80, 90)), (0, 4, 4))
        labels, predicted = np.digitize(noise, (-0.02, 0.06)).astype(np.uint8)
        labels[rng.random((80, 90)) < 0.05] = 255
        matrix = ConfusionMatrix(3)
        matrix.update(labels, predicted)
        counts = counted(labels, predicted, num_classes=3).counts[1:].sum(1)
        hits = matrix.counts.diagonal()
        either = matrix.counts.sum(0) + matrix.counts.sum(1) - hits
        assert counts[:, 0].tolist() == hits[1:].tolist()
        assert counts[:, 1].tolist() == either[1:].tolist()


def test_objects_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"Objects are \(3, 3\), labels \(4, 4\)"):
        flat = np.zeros((4, 4), np.uint8)
        counted(flat, flat, np.zeros((3, 3), np.uint8))


def test_regions_that_touch_at_a_corner_are_one_object() -> None:
    labels = image((0, 20, 0, 5), (20, 40, 5, 10))
    assert counted(labels, labels).num_objects[1].tolist() == [0, 1, 0]
