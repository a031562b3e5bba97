"""Colors of patches land where their patches are."""

import numpy as np
import pytest

from seg.errors import ShapeError
from seg.imaging.annotators import Style, paint_patches
from seg.imaging.overlay import Overlay
from seg.results import PatchColors

COLORS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10


def patches(**changes):
    values = {"colors": COLORS, "frame_hw": (22, 44), "patch_hw": (11.0, 11.0)}
    return PatchColors(**values | changes)


def test_the_center_of_each_patch_has_its_color():
    painted, covered = paint_patches(patches(), (22, 44))
    for row in range(2):
        for column in range(4):
            found = painted[5 + 11 * row, 5 + 11 * column]
            assert found.tolist() == COLORS[row, column].tolist()
    assert covered == (slice(0, 22), slice(0, 44))
    # Halfway between two centers: their mean. Beyond the last one: its color.
    between = painted[5, 10:12].astype(float).mean(0)
    np.testing.assert_allclose(between, COLORS[0, :2].mean(0), atol=1)
    assert painted[21, 43].tolist() == COLORS[1, 3].tolist()


def test_they_land_there_at_another_size_too():
    painted, _ = paint_patches(patches(), (66, 132))
    assert painted[16 + 33, 16 + 66].tolist() == COLORS[1, 2].tolist()


def test_what_was_cropped_off_keeps_the_image():
    image = np.full((42, 64, 3), 200, np.uint8)
    cropped = patches(frame_hw=(42, 64), origin=(10.0, 10.0))
    drawn = Overlay(Style(opacity=1.0)).draw(image, cropped)
    assert (drawn[:10] == 200).all() and (drawn[32:] == 200).all()
    assert (drawn[:, :10] == 200).all() and (drawn[:, 54:] == 200).all()
    assert drawn[10 + 16, 10 + 27].tolist() == COLORS[1, 2].tolist()


def test_the_last_row_may_reach_beyond_the_image():
    image = np.full((18, 44, 3), 100, np.uint8)
    drawn = Overlay(Style(opacity=0.5)).draw(image, patches(frame_hw=(18, 44)))
    assert drawn.shape == (18, 44, 3)
    np.testing.assert_allclose(drawn[16, 5], (COLORS[1, 0] + 100.0) / 2, atol=1)


def test_what_does_not_fit_is_named():
    with pytest.raises(ShapeError, match="do not fit an image"):
        Overlay().draw(np.zeros((22, 43, 3), np.uint8), patches())
    with pytest.raises(ShapeError, match="Colors are uint8"):
        patches(colors=COLORS.astype(float))
