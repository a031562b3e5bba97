"""Features agree by the cosine of the worst image."""

import numpy as np
import pytest

from seg.errors import ParityError, SpecMismatch
from seg.results import Features
from seg.verification.feature_agreement import compare_features


def features(cls, patches=((1, 0), (0, 1))):
    grid = np.array([patches], np.float32)
    return Features(np.array(cls, np.float32), grid, (10, 20), (10.0, 10.0))


def test_the_worst_image_decides():
    same = features((1, 0)), features((5, 0))
    turned = features((1, 0)), features((4, 3))
    found = compare_features([same, turned])
    assert found.cls_cosine == pytest.approx(0.8) and found.patch_cosine == pytest.approx(1)
    assert not found.passes("int8") and compare_features([same]).passes("float32")
    assert "at least 0.95" in found.expected("int8")
    # Cosines of 1 and 0.6 in one image.
    moved = features((1, 0)), features((1, 0), ((2, 0), (8, 6)))
    assert compare_features([same, moved]).patch_cosine == pytest.approx(0.8)
    assert not compare_features([moved]).passes("int8")


def test_other_patches_leave_the_vectors_to_compare():
    other = features((1, 0), ((1, 0), (0, 1), (1, 1)))
    found = compare_features([(features((1, 0)), other)])
    assert found.patch_cosine is None and found.passes("float32")
    assert found.to_dict() == {"cls_cosine": pytest.approx(1), "patch_cosine": None}


def test_zeros_agree_with_zeros_alone():
    zero, one = features((0, 0)), features((1, 0))
    assert compare_features([(zero, zero)]).cls_cosine == 1
    assert compare_features([(zero, one)]).cls_cosine == 0


def test_what_cannot_be_compared_is_one_line():
    with pytest.raises(SpecMismatch, match="at least one image"):
        compare_features([])
    wide = Features(np.ones(3, np.float32), np.ones((1, 2, 3), np.float32), (10, 20), (10.0, 10.0))
    with pytest.raises(ParityError, match=r"Expected features of \(2,\), got \(3,\)"):
        compare_features([(features((1, 0)), wide)])
