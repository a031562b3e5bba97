"""Classifier: probabilities of the classes of a whole image, on any engine that returns scores."""

import dataclasses

import numpy as np
import pytest

from seg import SpecMismatch, open_predictor
from seg.errors import ArtifactError, ShapeError
from seg.imaging.annotators import Style
from seg.imaging.overlay import Overlay
from seg.predictors.classifier import Classifier
from seg.results import Classification
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.spec import ModelSpec, Output, classification_outputs
from seg.verification.class_agreement import compare_classes

NAMES = ("red", "green", "blue")
SPEC = dataclasses.replace(
    DEFAULT, outputs=classification_outputs(NAMES), input_hw=(32, 32), stride=8, fit="center_crop"
)


def mean_colors(images):
    """Scores are ten times the mean color, RGB 0..1."""
    return {"scores": 10 * images.mean((2, 3))}


@pytest.fixture
def classifier():
    return Classifier(FakeRuntime(mean_colors, SPEC))


def test_the_middle_of_an_image_decides(classifier):
    image = np.full((64, 128, 3), (255, 0, 0), np.uint8)  # BGR: blue at both ends
    image[:, 30:98] = (0, 0, 255)
    found = classifier(image)
    assert found.classes[found.label] == "red"
    expected = np.exp(10) / (np.exp(10) + 2)
    assert found.probabilities[0] == pytest.approx(expected, rel=1e-4)
    assert found.probabilities.sum() == pytest.approx(1)


def test_a_list_of_sizes_is_as_one_by_one(classifier):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*hw, 3), np.uint8) for hw in ((40, 50), (90, 30), (32, 32))]
    for one, image in zip(classifier.predict(images), images, strict=True):
        np.testing.assert_allclose(one.probabilities, classifier(image).probabilities, atol=1e-6)


def test_large_scores_do_not_overflow():
    runtime = FakeRuntime(lambda x: {"scores": np.full((len(x), 3), 1e4, np.float32)}, SPEC)
    classifier = Classifier(runtime)
    found = classifier(np.zeros((8, 8, 3), np.uint8))
    np.testing.assert_allclose(found.probabilities, 1 / 3)


def test_the_task_of_a_model_picks_it(classifier):
    assert isinstance(open_predictor(classifier.runtime), Classifier)
    other = FakeRuntime(lambda x: {"scores": np.zeros((len(x), 2), np.float32)}, SPEC)
    with pytest.raises(SpecMismatch, match=r"\(B, 3\).*returns \(1, 2\)"):
        Classifier(other)(np.zeros((8, 8, 3), np.uint8))


def test_the_likeliest_come_first_and_ties_keep_their_order():
    made = Classification(np.array([0.3, 0.4, 0.3], np.float32), NAMES)
    assert [name for name, _ in made.top(9)] == ["green", "red", "blue"]
    assert list(made.to_dict()) == ["green", "red", "blue"]
    with pytest.raises(ShapeError, match=r"float32 \(3,\)"):
        Classification(np.array([0.5, 0.5], np.float32), NAMES)


def test_as_many_classes_are_written_into_the_image_as_asked_for():
    made = Classification(np.array([0.3, 0.4, 0.3], np.float32), NAMES)
    image = np.full((200, 200, 3), 200, np.uint8)
    rows = [
        int((Overlay(Style(num_classes=count)).draw(image, made) != 200).any((1, 2)).sum())
        for count in (1, 2, 3)
    ]
    assert 0 < rows[0] < rows[1] < rows[2] and rows[2] - rows[1] == pytest.approx(rows[0], abs=8)
    tiny = np.zeros((3, 3, 3), np.uint8)
    assert Overlay().draw(tiny, made).shape == tiny.shape


def test_a_spec_for_classes_needs_two_and_says_its_head():
    with pytest.raises(ArtifactError, match="at least 2 names"):
        Output("scores", "classification", ("one",))
    spec = dataclasses.replace(SPEC, head="linear4")
    assert ModelSpec.from_json(spec.to_json()) == spec and '"head"' not in SPEC.to_json()


def pair(one, other):
    return tuple(Classification(np.array(row, np.float32), NAMES) for row in (one, other))


def test_agreement_lets_ties_change_places_and_nothing_else():
    same = compare_classes([pair([0.2, 0.5, 0.3], [0.2, 0.5, 0.3])])
    assert (same.top1_agreement, same.top1_ratio, same.probability_distance) == (1, 1, 0)
    tie = compare_classes([pair([0.4, 0.3999, 0.2001], [0.3999, 0.4, 0.2001])])
    assert tie.top1_agreement == 0 and tie.passes("float32")
    flipped = compare_classes([pair([0.34, 0.335, 0.325], [0.335, 0.34, 0.325])])
    assert not flipped.passes("float32") and not flipped.passes("float16")
    assert flipped.passes("bfloat16")
    shifted = compare_classes([pair([0.9, 0.1, 0.0], [0.7, 0.3, 0.0])])
    assert shifted.top1_agreement == 1 and not shifted.passes("int8")
