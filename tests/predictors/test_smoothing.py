"""Steady masks: what flickers holds still, what moves does not lag, and nothing crosses a cut."""

import itertools

import numpy as np
import pytest

from seg import Segmenter, SpecMismatch
from seg.predictors.smoothing import METHODS, SteadySegmenter
from seg.runtimes.fake import FakeRuntime
from seg.video.base import Frame

HW = (64, 64)
TEXTURE = np.random.default_rng(0).integers(60, 200, (64, 160), dtype=np.uint8)


def scores_of_red(images):
    """A network that calls a cell of 4x4 pixels person as far as it is more red than blue."""
    margin = 12 * (images[:, 0] - images[:, 2]).reshape(len(images), 16, 4, 16, 4).mean((2, 4))
    return np.stack([-margin / 2, margin / 2], 1).astype(np.float32)


def image_of(redness, shift=0):
    """Returns a textured image whose red leads blue by `redness` levels, `(64, 64)` or one."""
    green = TEXTURE[:, shift : shift + 64].astype(np.int16)
    red = np.broadcast_to(np.asarray(redness, np.int16), HW)
    return np.dstack([120 - red // 2, green, 120 + red // 2]).clip(0, 255).astype(np.uint8)


def run(method, images, gap_s=0.04, marks=()):
    """Returns the labels of each image by a method, and those without it."""
    segmenter = Segmenter(FakeRuntime(scores_of_red))
    steady = SteadySegmenter(segmenter, method)
    frames = [
        Frame(image, i, i * gap_s, discontinuity=i in marks) for i, image in enumerate(images)
    ]
    return [steady.predict_frame(frame).labels for frame in frames], [
        segmenter(image).labels for image in images
    ]


def flips(labels):
    return sum(int((a != b).sum()) for a, b in itertools.pairwise(labels))


@pytest.mark.parametrize("method", METHODS)
def test_a_still_scene_whose_scores_flicker_flips_less(method):
    random = np.random.default_rng(0)
    cells = random.normal(5, 8, (20, 16, 16)).repeat(4, 1).repeat(4, 2)
    steady, plain = run(method, [image_of(redness) for redness in cells])
    assert flips(plain) >= 5 * 64 * 64
    assert flips(steady) <= 0.6 * flips(plain)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_sure_of_its_motion_does_not_lag(method):
    """A square that the scores are sure of moves; its mask is the plain one in every frame."""
    images = []
    for index in range(8):
        redness = np.full(HW, -150)
        redness[16:40, 4 * index : 4 * index + 24] = 150
        images.append(image_of(redness))
    steady, plain = run(method, images)
    for made, expected in zip(steady, plain, strict=True):
        assert (made != expected).mean() < 0.02


@pytest.mark.parametrize("method", METHODS)
def test_the_first_frame_and_a_frame_after_a_gap_are_the_plain_ones(method):
    """Each weak frame against a past that would win: it must not."""
    images = [image_of(40), image_of(-6), image_of(40), image_of(-6)]
    steady, plain = run(method, images, marks=(1, 3))
    np.testing.assert_array_equal(steady, plain)
    steady, _ = run(method, images, gap_s=2.0)  # the past is too old
    np.testing.assert_array_equal(steady, plain)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_crosses_a_cut(method):
    weak, other = image_of(-6), image_of(40)
    other[:, :, 1] = 255 - other[:, :, 1] // 4
    steady, plain = run(method, [other, weak])
    np.testing.assert_array_equal(steady[1], plain[1])
    steady, plain = run(method, [image_of(40), weak])  # without the cut the past is felt
    assert (steady[1] != plain[1]).all() or method == "exponential"


def test_the_flow_carries_the_past_along_with_the_texture():
    """The camera moves by 4 pixels: the sure half moves with it, the unsure frame follows it."""
    left = np.where(np.arange(64) < 32, 12, -12)
    shifted = np.where(np.arange(64) < 28, 12, -12)
    sure, unsure = image_of(left, shift=40), image_of(0, shift=44)
    (_, made), _ = run("flow", [sure, unsure])
    expected = np.broadcast_to(shifted > 0, HW)
    rows, columns = slice(12, 52), slice(8, 52)
    assert (made[rows, columns] == expected[rows, columns]).mean() > 0.95
    (_, still), _ = run("exponential", [sure, unsure])
    assert (still[rows, 28:32] == 1).all()  # the one without motion keeps the edge where it was


def test_the_past_fades_by_time_not_by_frames():
    """Twice the frames in the same time leave the same share of the past."""
    from seg.predictors.smoothing import blend

    now, past = np.zeros((2, 1, 1), np.float32), np.float32([[[0.0]], [[1e-3]]])
    once = blend(now, past, 0.08)
    twice = blend(now, blend(now, past, 0.04), 0.04)
    np.testing.assert_allclose(once, twice, rtol=1e-3)


def test_a_plain_segmenter_is_not_changed_and_streams_do_not_mix():
    segmenter = Segmenter(FakeRuntime(scores_of_red))
    one, two = (SteadySegmenter(segmenter, "hysteresis") for _ in range(2))
    one.predict_frame(Frame(image_of(40), 0, 0.0))
    weak = image_of(-6)
    assert not two.predict_frame(Frame(weak, 0, 0.04)).labels.any()
    assert one.predict_frame(Frame(weak, 1, 0.04)).labels.all()
    assert not segmenter(weak).labels.any()


def test_unknown_methods_and_averaged_scales_are_refused():
    segmenter = Segmenter(FakeRuntime(scores_of_red))
    with pytest.raises(SpecMismatch, match="expected one of exponential"):
        SteadySegmenter(segmenter, "median")
    with pytest.raises(SpecMismatch, match="--tta"):
        SteadySegmenter(Segmenter(FakeRuntime(scores_of_red), tta=1), "flow")
