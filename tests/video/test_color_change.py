"""Colors that change where the video stands still are counted, others are not."""

import numpy as np
import pytest

from seg.results import PatchColors
from seg.video.base import Frame, Processed
from seg.video.color_change import ColorChange


def write(sink, index, image, level, discontinuity=False):
    colors = np.full((4, 8, 3), level, np.uint8)
    made = PatchColors(colors, image.shape[:2], (image.shape[0] / 4, image.shape[1] / 8))
    frame = Frame(image, index, index / 25, "", discontinuity)
    sink.write(frame, Processed(image, {"features": made}))


def test_the_mean_is_over_static_pixels_alone():
    sink, image = ColorChange(), np.full((160, 320, 3), 100, np.uint8)
    assert sink.mean is None
    write(sink, 0, image, 50)
    moved = image.copy()
    moved[:, 160:] = 180  # half of the image moves
    write(sink, 1, moved, 56)
    assert sink.mean == pytest.approx(6) and sink.static_share == pytest.approx(0.5)
    write(sink, 2, moved, 56)  # all stands still, and no color changes
    assert sink.mean == pytest.approx(6 / 3) and sink.static_share == pytest.approx(0.75)


def test_a_gap_is_no_change():
    sink, image = ColorChange(), np.full((160, 320, 3), 100, np.uint8)
    write(sink, 0, image, 50)
    write(sink, 9, image, 90, discontinuity=True)
    assert sink.mean is None
    write(sink, 10, image + np.uint8(2), 93)  # noise of two levels is static
    assert sink.mean == pytest.approx(3)
