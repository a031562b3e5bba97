"""Letterbox: whatever the size, a mask comes back where it was."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg.errors import ShapeError, SpecMismatch
from seg.imaging.letterbox import (
    Letterbox,
    resize,
    resize_labels,
    resize_matrices,
    round_up,
    to_network,
)

sides = st.integers(1, 900)
settings.register_profile("dinoseg", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("dinoseg")


@given(sides, sides, st.sampled_from([14, 32]), st.sampled_from([(640, 640), (360, 640), (70, 98)]))
def test_the_canvas_is_divisible_and_covers_the_image(h, w, stride, box):
    fit = Letterbox.fit((h, w), box, stride)
    assert fit.canvas_hw[0] % stride == 0 and fit.canvas_hw[1] % stride == 0
    assert all(i <= c < i + stride for i, c in zip(fit.image_hw, fit.canvas_hw, strict=True))
    # One side fills the box; the other keeps the aspect within half a pixel (or is 1 pixel).
    scale = min(box[0] / h, box[1] / w)
    for side, image in zip((h, w), fit.image_hw, strict=True):
        assert image == 1 or abs(image - side * scale) <= 0.5


def test_sizes_worked_out_by_hand():
    wide = Letterbox.fit((720, 1280), (640, 640), 14)
    assert (wide.image_hw, wide.canvas_hw) == ((360, 640), (364, 644))
    static = Letterbox.fit((720, 1280), (640, 640), 14, canvas_hw=(644, 644))
    assert (static.image_hw, static.canvas_hw) == ((360, 640), (644, 644))
    dot = Letterbox.fit((1, 1), (640, 640), 14)
    assert (dot.image_hw, dot.canvas_hw) == ((640, 640), (644, 644))
    line = Letterbox.fit((1, 2000), (640, 640), 32)
    assert (line.image_hw, line.canvas_hw) == ((1, 640), (32, 640))
    assert round_up((640, 641), 14) == (644, 644)


@given(st.integers(40, 700), st.integers(40, 700), st.sampled_from([14, 32]), st.data())
def test_a_disc_comes_back_within_half_a_pixel(h, w, stride, data):
    """A network that copies brightness, at one value for each 4x4 cell, and a soft disc."""
    cy = data.draw(st.floats(0.35 * h, 0.65 * h))
    cx = data.draw(st.floats(0.35 * w, 0.65 * w))
    radius = 0.3 * min(h, w)
    ys, xs = np.mgrid[:h, :w].astype(np.float32)
    soft = radius - np.hypot(ys - cy, xs - cx)
    image = np.repeat(np.clip(127.5 + 12 * soft, 0, 255).astype(np.uint8)[..., None], 3, 2)
    fit = Letterbox.fit((h, w), (640, 640), stride)
    grid = fit.pack(image, (0, 0, 0))[0, 0]
    if stride == 32:
        grid = cv2.resize(grid, (grid.shape[1] // 4, grid.shape[0] // 4), interpolation=3)
    back = fit.unpack(grid - np.float32(0.5)) > 0
    found = ys[back].mean(), xs[back].mean()
    inside = soft > 0
    truth = ys[inside].mean(), xs[inside].mean()
    assert np.hypot(found[0] - truth[0], found[1] - truth[1]) < 0.5
    assert abs(np.sqrt(back.sum() / np.pi) - np.sqrt(inside.sum() / np.pi)) < 0.5


SHRUNK, ENLARGED = [(720, 1280), (1080, 1920), (3000, 4000)], [(100, 140), (300, 500), (600, 640)]


def edge_error(hw, cell, place):
    """Carries a hard disc there and back.

    Returns:
        How far from the true edge a wrong pixel lies, at most, in pixels of the frame; and how
        many of these are one of the canvas.
    """
    (height, width), radius = hw, 0.3 * min(hw)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    distance = radius - np.hypot(ys - place[0] * height, xs - place[1] * width)
    image = np.repeat(255 * (distance > 0).astype(np.uint8)[..., None], 3, 2)
    fit = Letterbox.fit(hw, (640, 640), 14 if cell == 14 else 32)
    grid = fit.pack(image, (0, 0, 0))[0, 0]
    cells = grid.reshape(grid.shape[0] // cell, cell, grid.shape[1] // cell, cell).mean((1, 3))
    wrong = (fit.unpack(cells - np.float32(0.5)) > 0) != (distance > 0)
    return float(np.abs(distance[wrong]).max(initial=0)), hw[0] / fit.image_hw[0]


@pytest.mark.parametrize("place", [(0.5, 0.5), (0.37, 0.61), (0.42, 0.44)])
@pytest.mark.parametrize("cell", [1, 4, 14])
@pytest.mark.parametrize("hw", SHRUNK + ENLARGED)
def test_edges_come_back_within_two_pixels_of_the_canvas(hw, cell, place):
    error, frame_pixels = edge_error(hw, cell, place)
    assert error < 1.7 * frame_pixels
    if hw in ENLARGED and cell <= 4:
        assert error < 0.5
    if hw in SHRUNK and cell == 1:
        assert error < {720: 0.5, 1080: 0.65, 3000: 1.1}[hw[0]]


@given(sides, sides)
def test_every_size_has_a_way_there_and_back(h, w):
    fit = Letterbox.fit((h, w), (98, 140), 14)
    image = np.full((h, w, 3), 200, np.uint8)
    pixels = fit.pack(image, (0.1, 0.2, 0.3))
    assert pixels.shape == (1, 3, *fit.canvas_hw) and pixels.dtype == np.float32
    scores = fit.unpack(pixels[0, 0])
    assert scores.shape == (h, w)
    np.testing.assert_allclose(scores, 200 / 255, atol=1e-5)


def test_padding_is_right_and_bottom_and_has_the_pad_color():
    fit = Letterbox.fit((10, 20), (20, 20), 14)
    pixels = fit.pack(np.zeros((10, 20, 3), np.uint8), (0.25, 0.5, 0.75))
    assert fit.image_hw == (10, 20) and fit.canvas_hw == (14, 28)
    assert not pixels[:, :, :10, :20].any()
    for channel, value in enumerate((0.25, 0.5, 0.75)):
        assert (pixels[0, channel, 10:] == np.float32(value)).all()
        assert (pixels[0, channel, :, 20:] == np.float32(value)).all()


def test_bgr_becomes_rgb_once():
    pixel = np.array([[[10, 20, 30]]], np.uint8)
    np.testing.assert_allclose(to_network([pixel])[0, :, 0, 0] * 255, [30, 20, 10], rtol=1e-6)


def test_labels_outside_the_image_are_ignored():
    fit = Letterbox.fit((2, 4), (14, 14), 14)
    packed = fit.pack_labels(np.ones((2, 4), np.uint8))
    assert packed.shape == (14, 14)
    assert (packed[:7] == 1).all() and (packed[7:] == 255).all()


def test_labels_are_never_mixed():
    labels = np.array([[0, 3], [7, 255]], np.uint8)
    big = resize_labels(labels, (6, 8))
    assert np.array_equal(big, np.kron(labels, np.ones((3, 4), np.uint8)))


@pytest.mark.parametrize("times", [(3, 4), (4, 4), (7, 3), (3, 1), (1, 3)])
def test_shrinking_far_averages_instead_of_skipping(times):
    noise = np.random.default_rng(0).random((20, times[0], 15, times[1]), np.float32)
    small = resize(noise.reshape(20 * times[0], 15 * times[1]), (20, 15))
    np.testing.assert_allclose(small, noise.mean((1, 3)), atol=1e-5)


@pytest.mark.parametrize("hw", [(45, 40), (60, 31), (61, 90), (200, 300)])
def test_other_sizes_are_bilinear_between_the_centers_of_pixels(hw):
    noise = np.random.default_rng(0).random((60, 60), np.float32)
    rows, columns = ((np.arange(side) + 0.5) * 60 / side - 0.5 for side in hw)
    wide = np.stack([np.interp(columns, np.arange(60), row) for row in noise])
    expected = np.stack([np.interp(rows, np.arange(60), column) for column in wide.T], 1)
    np.testing.assert_allclose(resize(noise, hw), expected, atol=1e-5)


def test_bad_input_is_named():
    fit = Letterbox.fit((4, 4), (14, 14), 14)
    with pytest.raises(ShapeError, match="uint8"):
        fit.pack(np.zeros((4, 4, 3), np.float32), (0, 0, 0))
    with pytest.raises(ShapeError, match="uint8"):
        fit.pack(np.zeros((4, 4), np.uint8), (0, 0, 0))
    with pytest.raises(ShapeError, match=r"\(4, 4\)"):
        fit.pack(np.zeros((5, 4, 3), np.uint8), (0, 0, 0))
    with pytest.raises(SpecMismatch, match="positive"):
        Letterbox.fit((0, 4), (14, 14), 14)
    with pytest.raises(SpecMismatch, match="644x364"):
        Letterbox.fit((640, 640), (640, 640), 14, canvas_hw=(364, 644))


@given(st.tuples(sides, sides), st.tuples(sides, sides))
@settings(max_examples=30)
def test_a_resize_is_a_product_with_two_matrices(before, after):
    noise = np.random.default_rng(0).random(before, dtype=np.float32)
    rows, columns = resize_matrices(before, after)
    assert rows.shape == (after[0], before[0]) and columns.shape == (before[1], after[1])
    np.testing.assert_allclose(rows @ noise @ columns, resize(noise, after), atol=1e-5)


def test_bytes_are_padded_with_the_pad_color_in_bgr():
    packed = Letterbox.fit((4, 4), (4, 4), 8).pack_bytes(np.zeros((4, 4, 3), np.uint8), (1, 0.2, 0))
    assert packed[7, 7].tolist() == [0, 51, 255]


@pytest.mark.parametrize("hw", [(3, 5), (7, 7), (9, 4), (13, 29), (40, 6)])
def test_labels_are_those_of_the_nearest_pixel_center(hw):
    labels = np.arange(10 * 12, dtype=np.uint8).reshape(10, 12)
    rows, columns = (
        [int((2 * i + 1) * before / (2 * after)) for i in range(after)]
        for before, after in zip(labels.shape, hw, strict=True)
    )
    assert resize_labels(labels, hw).tolist() == labels[np.ix_(rows, columns)].tolist()
