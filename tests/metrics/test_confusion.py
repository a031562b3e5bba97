"""The oracle is counting: by hand, or pixel by pixel with sets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seg.errors import ShapeError
from seg.metrics import ConfusionMatrix
from seg.results import UInt8

#         labels             predicted
HAND = """0 0 1 1            0 1 1 1
          0 0 1 1            0 0 0 1
          2 2 9 9            2 1 0 1"""


def hand_drawn() -> tuple[UInt8, UInt8]:
    """The images above; 9 is ignored."""
    cells = np.array([line.split() for line in HAND.splitlines()], np.uint8)
    return np.where(cells[:, :4] == 9, 255, cells[:, :4]).astype(np.uint8), cells[:, 4:]


def filled(labels: UInt8, predicted: UInt8, num_classes: int = 3) -> ConfusionMatrix:
    matrix = ConfusionMatrix(num_classes)
    matrix.update(labels, predicted)
    return matrix


def by_sets(labels: UInt8, predicted: UInt8, num_classes: int) -> list[float]:
    """IoU of each class from sets of pixel positions."""
    known = [i for i, label in enumerate(labels.ravel().tolist()) if label != 255]
    ious = []
    for c in range(num_classes):
        true = {i for i in known if labels.ravel()[i] == c}
        positive = {i for i in known if predicted.ravel()[i] == c}
        ious.append(len(true & positive) / len(true | positive) if true | positive else math.nan)
    return ious


def images(count: int = 1) -> st.SearchStrategy[tuple[UInt8, UInt8]]:
    shape = (count, 3, 4)
    labels = arrays.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 255]))
    return st.tuples(labels, arrays.arrays(np.uint8, shape, elements=st.integers(0, 2)))


def test_counts_and_scores_of_an_image_counted_by_hand() -> None:
    matrix = filled(*hand_drawn())
    assert matrix.counts.tolist() == [[3, 1, 0], [1, 3, 0], [0, 1, 1]]
    assert matrix.num_pixels == 10
    assert matrix.iou.tolist() == [3 / 5, 3 / 6, 1 / 2]
    assert matrix.precision.tolist() == [3 / 4, 3 / 5, 1 / 1]
    assert matrix.recall.tolist() == [3 / 4, 3 / 4, 1 / 2]
    assert matrix.pixel_accuracy == 7 / 10
    assert matrix.miou == pytest.approx(1.6 / 3)
    assert matrix.foreground_iou == 0.5


def test_a_class_that_is_nowhere_has_no_iou_and_does_not_enter_the_mean() -> None:
    labels, predicted = hand_drawn()
    matrix = filled(labels, predicted, num_classes=4)
    assert math.isnan(matrix.iou[3]) and math.isnan(matrix.precision[3])
    assert matrix.miou == pytest.approx(1.6 / 3)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    matrix = filled(np.zeros((2, 2), np.uint8), np.array([[0, 0], [0, 1]], np.uint8), 2)
    assert matrix.iou.tolist() == [0.75, 0.0]
    assert math.isnan(matrix.recall[1]) and matrix.precision[1] == 0
    assert matrix.miou == 0.375


def test_ignored_pixels_leave_nothing_to_score() -> None:
    matrix = filled(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8))
    assert matrix.num_pixels == 0
    assert math.isnan(matrix.miou) and math.isnan(matrix.pixel_accuracy)


def test_what_is_predicted_on_ignored_pixels_does_not_matter() -> None:
    labels = np.array([[0, 255]], np.uint8)
    assert filled(labels, np.array([[0, 99]], np.uint8)).num_pixels == 1


@settings(max_examples=50, derandomize=True, deadline=None)
@given(images())
def test_iou_is_that_of_sets_of_pixels(pair: tuple[UInt8, UInt8]) -> None:
    np.testing.assert_allclose(filled(*pair).iou, by_sets(*pair, 3))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(images(count=7), st.integers(1, 7), st.permutations(range(7)))
def test_scores_depend_on_neither_batch_size_nor_order(
    pair: tuple[UInt8, UInt8], batch: int, order: list[int]
) -> None:
    labels, predicted = pair
    whole = filled(labels, predicted)
    updated, added = ConfusionMatrix(3), ConfusionMatrix(3)
    for start in range(0, 7, batch):
        rows = order[start : start + batch]
        updated.update(labels[rows], predicted[rows])
        added = added + filled(labels[rows], predicted[rows])
    assert updated.counts.tolist() == added.counts.tolist() == whole.counts.tolist()
    np.testing.assert_array_equal(updated.iou, whole.iou)


def test_the_mean_over_batches_is_another_number() -> None:
    """The usual mistake, on two images: half a person found, and a false alarm."""
    labels = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], np.uint8)
    predicted = np.array([[0, 0, 0, 1], [0, 0, 0, 1]], np.uint8)
    whole = filled(labels, predicted, 2)
    batches = [filled(labels[i], predicted[i], 2).miou for i in range(2)]
    assert whole.iou.tolist() == [5 / 7, 1 / 3]
    assert whole.miou == pytest.approx(11 / 21)
    assert np.mean(batches) == pytest.approx((7 / 12 + 3 / 8) / 2)
    # And one more: dividing the sum by one batch too many.
    assert sum(batches) / 3 < np.mean(batches) < whole.miou


def test_addition_leaves_its_operands_alone() -> None:
    one = filled(*hand_drawn())
    two = one + one
    two.update(*hand_drawn())
    assert (one.num_pixels, two.num_pixels) == (10, 30)


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)),
        (np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8)),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32)),
        (np.full((2, 2), 3, np.uint8), np.zeros((2, 2), np.uint8)),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 3, np.uint8)),
        (np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)),
    ],
    ids=["shapes", "label type", "prediction type", "label", "prediction", "255 predicted"],
)
def test_other_arrays_are_refused_and_change_nothing(labels: UInt8, predicted: UInt8) -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ShapeError):
        matrix.update(labels, predicted)
    assert matrix.num_pixels == 0


def test_matrices_of_other_classes_do_not_add() -> None:
    with pytest.raises(ShapeError, match="2 classes cannot add to 3"):
        ConfusionMatrix(2) + ConfusionMatrix(3)
