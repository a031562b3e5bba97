"""Polygons: their area is a count of pixels, and pycocotools fills them to the mask they are of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg.imaging.polygons import polygons_of, rings_of
from seg.results import Mask

CLASSES = ("background", "person", "dog")


def shoelace(ring):
    """Twice the signed area, positive for clockwise on the screen."""
    x, y = np.array(ring).T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def test_a_block_reaches_from_the_first_pixels_edge_to_the_last_ones():
    labels = np.zeros((20, 30), np.uint8)
    labels[4:7, 10:15] = 2
    (polygon,) = polygons_of(Mask(labels, CLASSES))
    assert polygon.rings == [[(10, 4), (15, 4), (15, 7), (10, 7)]]
    assert (polygon.label, polygon.bbox, polygon.num_pixels) == (2, (10, 4, 5, 3), 15)


def test_a_hole_is_a_ring_of_its_own_the_other_way_round():
    labels = np.zeros((12, 12), np.uint8)
    labels[1:11, 1:11] = 1
    labels[4:6, 5:9] = 0
    (polygon,) = polygons_of(Mask(labels, CLASSES))
    assert [shoelace(ring) for ring in polygon.rings] == [200, -16]
    assert set(polygon.rings[1]) == {(5, 4), (9, 4), (9, 6), (5, 6)}


def test_pixels_that_touch_by_a_corner_are_two_regions():
    labels = np.eye(2, dtype=np.uint8)
    assert [polygon.rings for polygon in polygons_of(Mask(labels, CLASSES))] == [
        [[(0, 0), (1, 0), (1, 1), (0, 1)]],
        [[(1, 1), (2, 1), (2, 2), (1, 2)]],
    ]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.integers(1, 14), st.floats(0.1, 0.95))
def test_rings_hold_as_many_pixels_as_the_region_and_its_very_pixels(seed, height, width, share):
    labels = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    filled = np.zeros((height, width), int)
    for polygon in polygons_of(Mask(labels, CLASSES)):
        outline, *holes = map(shoelace, polygon.rings)
        assert outline > 0 and all(hole < 0 for hole in holes)
        assert all(len(set(ring)) == len(ring) for ring in polygon.rings)
        assert outline + sum(holes) == 2 * polygon.num_pixels
        for row in range(height):  # even-odd rule at pixel centers
            for column in range(width):
                crossed = 0
                for ring in polygon.rings:
                    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
                        is_beside = min(y0, y1) < row + 0.5 < max(y0, y1)
                        crossed += x0 == x1 and x0 > column + 0.5 and is_beside
                filled[row, column] += crossed % 2
    np.testing.assert_array_equal(filled, labels)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # its own
def test_pycocotools_fills_an_outline_to_its_region():
    coco = pytest.importorskip("pycocotools.mask")
    y, x = np.mgrid[:60, :80]
    region = ((x - 35) ** 2 / 900 + (y - 28) ** 2 / 400) < 1
    region[20:60, 34:40] = True
    (outline,) = rings_of(region)
    flat = [float(value) for point in outline for value in point]
    filled = coco.decode(coco.merge(coco.frPyObjects([flat], 60, 80)))
    np.testing.assert_array_equal(filled, region)
