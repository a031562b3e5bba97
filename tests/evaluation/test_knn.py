"""Evaluation by neighbors: the features are mean colors, so the answer is known."""

import dataclasses

import cv2
import numpy as np
import pytest

from seg.data.class_folders import ClassSample
from seg.errors import DataError, SpecMismatch
from seg.evaluation.knn import embed_samples, evaluate_knn
from seg.predictors.embedder import Embedder
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.spec import embedding_outputs

SPEC = dataclasses.replace(DEFAULT, outputs=embedding_outputs(), fit="center_crop")
COLORS = {0: (250, 10, 10), 1: (10, 250, 10), 2: (10, 10, 250)}  # BGR


@pytest.fixture
def embedder():
    def mean_color(images):
        cls = images.mean((2, 3))
        return {"cls": cls, "patches": cls[:, :, None, None]}

    return Embedder(FakeRuntime(mean_color, SPEC))


@pytest.fixture
def samples(tmp_path):
    """Four images of each color; the last green one is labeled red."""
    made = []
    for label, color in COLORS.items():
        for index in range(4):
            path = tmp_path / f"{label}{index}.png"
            cv2.imwrite(str(path), np.full((20, 30, 3), color, np.uint8) + np.uint8(index))
            made.append(ClassSample(path, 2 if (label, index) == (1, 3) else label))
    return made


def test_images_are_classified_by_those_like_them(embedder, samples):
    gallery = [sample for sample in samples if sample.name[1] == "0"]
    found = evaluate_knn(embedder, gallery, samples, ["blue", "green", "red"], k=1)
    assert found.scores["top1"] == 11 / 12 and np.isnan(found.scores["top5"])
    assert found.metrics.confusion.tolist() == [[4, 0, 0], [0, 3, 0], [0, 1, 4]]
    assert [found.images[i].name for i in found.worst_first[:1]] == ["13.png"]
    low, high = found.intervals["top1"]
    assert low < 11 / 12 < high <= 1


def test_leaving_one_out_takes_the_others(embedder, samples):
    found = evaluate_knn(embedder, None, samples, ["blue", "green", "red"], k=3)
    assert found.metrics.confusion.tolist() == [[4, 0, 0], [0, 3, 0], [0, 1, 4]]


def test_an_image_is_no_neighbor_of_its_own(embedder, tmp_path):
    """Two images of one color and of two classes: each gets the class of the other."""
    pair = []
    for label, blue in enumerate((250, 200)):
        path = tmp_path / f"{label}.png"
        cv2.imwrite(str(path), np.full((20, 30, 3), (blue, 10, 10), np.uint8))
        pair.append(ClassSample(path, label))
    found = evaluate_knn(embedder, None, pair, ["one", "other"], k=1)
    assert found.metrics.confusion.tolist() == [[0, 1], [1, 0]]


def test_vectors_are_in_order_and_of_length_one(embedder, samples):
    vectors = embed_samples(embedder, samples)
    expected = np.array([COLORS[0][::-1]]) / np.linalg.norm(COLORS[0])
    np.testing.assert_allclose(vectors[:1], expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    with pytest.raises(DataError, match="no images"):
        embed_samples(embedder, [])
    with pytest.raises(SpecMismatch, match="12 images to choose from"):
        evaluate_knn(embedder, samples, samples, ["a", "b", "c"])
