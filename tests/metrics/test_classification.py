"""Classes of images against scikit-learn, and counts that add up."""

import functools
import operator

import numpy as np
import pytest
from sklearn import metrics as reference

from seg.errors import ShapeError
from seg.metrics import ClassificationMetrics


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 7, 90), rng.random((90, 7)).astype(np.float32)
    scores[np.arange(90), labels] += 0.4
    images = [
        ClassificationMetrics.of_image(int(k), row) for k, row in zip(labels, scores, strict=True)
    ]
    return labels, scores, functools.reduce(operator.add, images)


def test_scores_are_scikit_learns(case):
    labels, scores, total = case
    predicted = scores.argmax(1)
    assert total.compute() == {
        "top1": pytest.approx(reference.accuracy_score(labels, predicted)),
        "top5": pytest.approx(reference.top_k_accuracy_score(labels, scores, k=5)),
    }
    np.testing.assert_array_equal(total.confusion, reference.confusion_matrix(labels, predicted))
    details = total.details([*"abcdefg"])
    precision, recall, f1, count = reference.precision_recall_fscore_support(labels, predicted)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert list(details[name].values()) == pytest.approx(expected.tolist())
    assert list(details["num_images_by_class"].values()) == count.tolist()


def test_rows_add_up_to_the_same_scores(case):
    labels, scores, total = case
    rows = [
        ClassificationMetrics.of_image(int(label), row).to_row()
        for label, row in zip(labels, scores, strict=True)
    ]
    assert total.from_row(np.sum(rows, axis=0)).compute() == total.compute()


def test_a_class_that_is_never_there_has_no_score():
    one = ClassificationMetrics.of_image(0, np.array([0.7, 0.2, 0.1], np.float32))
    assert one.details(["a", "b", "c"])["recall"] == {"a": 1, "b": None, "c": None}
    assert np.isnan(one.compute()["top5"]) and one.image_score().value == pytest.approx(0.7)
    assert np.isnan(ClassificationMetrics(3).compute()["top1"])


def test_what_does_not_fit_is_named():
    with pytest.raises(ShapeError, match="with the class 3"):
        ClassificationMetrics.of_image(3, np.zeros(3, np.float32))
    with pytest.raises(ShapeError, match="do not add up"):
        ClassificationMetrics(3) + ClassificationMetrics(4)
