"""Results are checked when they are made."""

import dataclasses

import numpy as np
import pytest

from seg import Mask, ShapeError
from seg.results import Features


def test_a_mask_is_checked_and_knows_its_classes():
    mask = Mask(np.array([[0, 1], [1, 1]], np.uint8), ("background", "person"))
    assert mask.area_fraction("person") == 0.75
    assert np.array_equal(mask.of("background"), [[True, False], [False, False]])
    with pytest.raises(ShapeError, match="background, person"):
        mask.of("car")
    with pytest.raises(ShapeError, match="int64"):
        Mask(np.zeros((2, 2), np.int64), ("background",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        mask.labels = None


def features(**changes):
    cls, patches = np.array([3, 4], np.float32), np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    values = {"cls": cls, "patches": patches, "frame_hw": (35, 60), "patch_hw": (20.0, 20.0)}
    return Features(**values | changes)


def test_features_know_their_place_in_the_image():
    whole = features()  # 35 rows of pixels: the second row of patches reaches beyond
    assert whole.whole_hw == (1, 3)
    assert (whole.patch_at(0, 0), whole.patch_at(34, 59.9)) == ((0, 0), (1, 2))
    cropped = features(frame_hw=(80, 80), origin=(20.0, 10.0))
    assert cropped.whole_hw == (2, 3) and cropped.patch_at(45, 35) == (1, 1)
    for row, column in ((19, 40), (60, 40), (40, 9), (40, 70), (-1, 40)):
        with pytest.raises(ShapeError, match="expected x from 10 to 70 and y from 20 to 60"):
            cropped.patch_at(row, column)


def test_features_pool_to_one_vector_of_length_one():
    assert features().vector().tolist() == pytest.approx([0.6, 0.8])
    # Patches 0, 1 | 2, 3 | 4, 5 of the row that lies within the image: 2, 3 is their mean.
    expected = np.array([2, 3]) / 13**0.5
    assert features().vector("mean").tolist() == pytest.approx(expected.tolist())
    assert features(cls=np.zeros(2, np.float32)).vector().tolist() == [0, 0]
    with pytest.raises(ShapeError, match="No pooling 'max'; expected one of cls, mean"):
        features().vector("max")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cls": np.zeros(2)}, "float32; got float64"),
        ({"cls": np.zeros(3, np.float32)}, r"\(3,\) and \(2, 3, 2\)"),
        ({"patches": np.zeros((0, 3, 2), np.float32)}, "not empty"),
        ({"frame_hw": (0, 5)}, "positive"),
        ({"patch_hw": (5.0, -1.0)}, "positive"),
    ],
)
def test_features_are_checked(changes, said):
    with pytest.raises(ShapeError, match=said):
        features(**changes)
