import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seg.errors import ShapeError
from seg.imaging.annotators import Caption, Style
from seg.imaging.overlay import ANNOTATORS, Overlay
from seg.imaging.palette import Palette
from seg.results import Mask

TWO, FOUR = ("background", "person"), ("background", "person", "bicycle", "car")
RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def mask(labels, classes=TWO):
    return Mask(np.asarray(labels, np.uint8), classes)


def square(side=30, label=1):
    labels = np.zeros((side, side), np.uint8)
    labels[10:20, 10:20] = label
    return mask(labels)


def drawn(image, result, **style):
    return Overlay(Style(**style)).draw(image, result)


def noise(hw, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), dtype=np.uint8)


def test_a_quarter_of_the_color_is_mixed_in_where_the_class_is():
    image = np.full((30, 30, 3), 100, np.uint8)
    output = drawn(image, square(), opacity=0.25, outline=False, palette=Palette([(200, 0, 60)]))
    assert output[15, 15].tolist() == [125, 75, 90]
    assert (output[:10] == 100).all() and (output[20:] == 100).all()
    assert output.sum() == 100 * 800 * 3 + (125 + 75 + 90) * 100


@pytest.mark.parametrize("opacity", [0, 1])
def test_the_ends_of_opacity_are_exact(opacity):
    image = noise((30, 30))
    output = drawn(image, square(), opacity=opacity, outline=False, palette=Palette([RED]))
    expected = image.copy()
    if opacity:
        expected[10:20, 10:20] = RED
    np.testing.assert_array_equal(output, expected)


def test_the_outline_is_the_ring_inside_the_region():
    image = np.zeros((30, 30, 3), np.uint8)
    output = drawn(image, square(), opacity=0, palette=Palette([GREEN]))
    ring = np.zeros((30, 30), bool)
    ring[10:20, 10:20] = True
    ring[11:19, 11:19] = False
    np.testing.assert_array_equal((output == GREEN).all(2), ring)
    assert (output[~ring] == 0).all()


def test_the_edge_of_the_frame_is_no_outline():
    image = np.zeros((20, 20, 3), np.uint8)
    output = drawn(image, mask(np.ones((20, 20))), opacity=0, palette=Palette([RED]))
    assert (output == 0).all()


def test_each_of_more_classes_has_its_own_color():
    labels = np.repeat(np.arange(4, dtype=np.uint8), 5)[None].repeat(6, 0)
    overlay = Overlay(Style(opacity=1, outline=False, palette=Palette([RED, GREEN, BLUE])))
    output = overlay.draw(np.full((6, 20, 3), 7, np.uint8), mask(labels, FOUR))
    assert [output[3, x].tolist() for x in (2, 7, 12, 17)] == [[7] * 3, [*RED], [*GREEN], [*BLUE]]


@settings(derandomize=True, max_examples=20, deadline=None)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40),
    opacity=st.floats(0, 1), classes=st.sampled_from([TWO, FOUR]), seed=st.integers(0, 99),
)  # fmt: skip
def test_blending_is_the_textbook_formula(height, width, opacity, classes, seed):
    image, overlay = noise((height, width), seed), Overlay(Style(opacity=opacity, outline=False))
    labels = np.random.default_rng(seed).integers(0, len(classes), (height, width), np.uint8)
    kept = image.copy()
    output = overlay.draw(image, mask(labels, classes))
    colors = np.array(
        [(0, 0, 0), *(overlay.style.palette[k] for k in range(1, len(classes)))], float
    )
    mixed = (1 - opacity) * image + opacity * colors[labels]
    expected = np.where((labels > 0)[..., None], mixed, image)
    assert np.abs(output - expected).max() <= 1
    np.testing.assert_array_equal(output[labels == 0], image[labels == 0])
    np.testing.assert_array_equal(image, kept)


def test_one_overlay_takes_frames_of_changing_size():
    overlay, again = Overlay(), Overlay()
    for hw in ((8, 8), (4, 9), (8, 8), (1, 1)):
        image, labels = noise(hw), mask(np.ones(hw))
        np.testing.assert_array_equal(overlay.draw(image, labels), Overlay().draw(image, labels))
    assert again.draw(noise((3, 3)), mask(np.zeros((3, 3)))).tolist() == noise((3, 3)).tolist()


def test_out_is_filled_and_returned():
    image, out = noise((30, 30)), np.empty((30, 30, 3), np.uint8)
    assert Overlay().draw(image, square(), out=out) is out
    np.testing.assert_array_equal(out, Overlay().draw(image, square()))


def test_the_frame_itself_is_refused_as_out():
    image = noise((30, 30))
    with pytest.raises(ShapeError, match="the image itself"):
        Overlay().draw(image, square(), out=image)


def test_a_caption_is_light_on_a_dark_box_and_leaves_the_rest():
    image = np.full((360, 640, 3), 255, np.uint8)
    output = Overlay().draw(image, Caption("25.5 FPS"))
    changed = (output != 255).any(2)
    assert changed[0, 0] and changed.any(0).sum() < 200 and changed.any(1).sum() < 60
    box = output[: changed.any(1).sum(), : changed.any(0).sum()]
    assert box.min() == 63 and (box > 200).all(2).sum() > 50
    assert (image == 255).all()


def test_a_caption_larger_than_the_frame_does_no_harm():
    assert Overlay().draw(noise((1, 1)), Caption("25.5 FPS")).shape == (1, 1, 3)


def test_sizes_that_differ_are_refused():
    with pytest.raises(ShapeError, match="does not fit"):
        Overlay().draw(noise((29, 30)), square())


def test_opacity_beyond_one_is_refused():
    with pytest.raises(ShapeError, match="from 0 to 1"):
        Style(opacity=1.01)


def test_one_overlay_takes_masks_of_changing_classes():
    """Two classes share one plane of color, which more classes paint over."""
    overlay, image = Overlay(), noise((30, 30))
    four = mask(np.arange(900).reshape(30, 30) % 4, FOUR)
    for result in (square(), four, square(), four, square(), square()):
        np.testing.assert_array_equal(overlay.draw(image, result), Overlay().draw(image, result))


def test_results_are_drawn_in_turn_each_by_the_annotator_of_its_type():
    image = np.full((360, 640, 3), 255, np.uint8)
    labels, caption = mask(np.ones((360, 640))), Caption("25.5 FPS")
    both = Overlay().draw(image, labels, caption)
    np.testing.assert_array_equal(both, Overlay().draw(Overlay().draw(image, labels), caption))
    assert (both != Overlay().draw(image, caption, labels)).any()


def test_an_empty_caption_draws_nothing():
    np.testing.assert_array_equal(drawn(noise((90, 90)), Caption("")), noise((90, 90)))


def test_a_new_type_of_result_needs_its_annotator_alone(monkeypatch):
    class Gray(int):
        pass

    class GrayAnnotator:
        def __init__(self, style):
            pass

        def draw(self, image, gray):
            image[:] = gray

    with pytest.raises(ShapeError, match="Nothing draws a Gray; expected one of Mask, Caption"):
        drawn(noise((3, 4)), Gray(7))
    monkeypatch.setitem(ANNOTATORS, Gray, GrayAnnotator)
    assert (drawn(noise((3, 4)), Gray(7)) == 7).all()


def test_the_first_class_is_magenta_in_bgr():
    # Hue 0.87, saturation 0.85, value 1, converted by hand.
    assert Palette()[1] == (207, 38, 255)
