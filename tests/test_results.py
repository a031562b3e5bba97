"""Results are checked when they are made."""

import dataclasses

import numpy as np
import pytest

from seg import Mask, ShapeError


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
