"""Averaging predictions: where it must change nothing, what it must equal, that it is even."""

import numpy as np
import pytest

from seg import Segmenter, SpecMismatch
from seg.imaging.letterbox import Letterbox
from seg.predictors.tta import (
    RATIOS,
    Prediction,
    average_predictions,
    offsets,
    scaled_letterbox,
    slide,
)
from seg.runtimes.fake import FakeRuntime
from seg.spec import ModelSpec, segmentation_outputs

RNG = np.random.default_rng(0)


def spec(canvas_hw=None, input_hw=(64, 64), count=2):
    classes = tuple(f"class {i}" for i in range(count))
    return ModelSpec(
        arch="fake",
        outputs=segmentation_outputs(classes),
        input_hw=input_hw,
        stride=16,
        canvas_hw=canvas_hw,
    )


def of_pixels(images):
    """A network that looks at each pixel alone: it cannot tell where in the image it is."""
    red, green, blue = images.transpose(1, 0, 2, 3)
    return np.stack([0.5 - red, red - 0.5 + 0 * green, blue - 0.7], 1).astype(np.float32)


def two(images):
    return np.ascontiguousarray(of_pixels(images)[:, :2])


def of_places(images):
    """A network whose answer depends on where in its window a pixel is, and on the neighbors."""
    rows, columns = images.shape[2] // 4, images.shape[3] // 4
    cells = images.reshape(len(images), 3, rows, 4, columns, 4).mean((3, 5))
    ramp = np.linspace(-0.4, 0.7, rows * columns, dtype=np.float32).reshape(rows, columns)
    return (4 * np.stack([cells[:, 0], cells[:, 1] + ramp, cells[:, 2]], 1)).astype(np.float32)


def scene(hw=(70, 90)):
    """Soft blobs of color, sharp at one edge."""
    ys, xs = np.mgrid[: hw[0], : hw[1]] / 10
    waves = [np.sin(xs + 2) * np.cos(ys), np.cos(xs * 0.7), np.sin(ys + xs * 0.5)]
    return np.stack([(127 * (wave + 1)).astype(np.uint8) for wave in waves], axis=2)


@pytest.mark.parametrize("canvas_hw", [None, (64, 64)])
@pytest.mark.parametrize(("network", "count"), [(two, 2), (of_pixels, 3)])
@pytest.mark.parametrize("tta", [1, 3, 5])
def test_a_network_that_cannot_tell_places_gives_the_same_mask(network, count, canvas_hw, tta):
    image = scene()
    runtime = FakeRuntime(network, spec(canvas_hw, count=count))
    once = Segmenter(runtime)(image).labels
    often = Segmenter(runtime, tta=tta)(image).labels
    assert len(np.unique(once)) == count
    # Resampling to another size moves an edge by a part of a pixel.
    inner = (slice(4, -4), slice(4, -4))
    assert (once == often)[inner].mean() > 0.97


@pytest.mark.parametrize("tta", [1, 2, 5])
@pytest.mark.parametrize("count", [2, 3])
def test_a_mirrored_frame_gets_the_mirrored_mask_exactly(tta, count):
    network = of_places if count == 3 else (lambda x: np.ascontiguousarray(of_places(x)[:, :2]))
    image = RNG.integers(0, 256, (50, 83, 3), dtype=np.uint8)
    runtime = FakeRuntime(network, spec(count=count))
    segment = Segmenter(runtime, tta=tta)
    mask, mirrored = segment(image).labels, segment(image[:, ::-1]).labels
    assert np.array_equal(mask, mirrored[:, ::-1])
    assert not np.array_equal(
        Segmenter(runtime)(image).labels, Segmenter(runtime)(image[:, ::-1]).labels[:, ::-1]
    )


def softmax(scores):
    powers = np.exp(scores.astype(np.float64) - scores.max(0))
    return powers / powers.sum(0)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_labels_are_those_of_the_mean_softmax_at_the_frames_size(count):
    predictions, mean = [], 0
    for size, is_mirrored in ((16, False), (16, True), (32, False), (32, True)):
        box = Letterbox((90, 120), (size * 3, size * 4), (size * 4, size * 4))
        prediction = Prediction(
            RNG.normal(0, 3, (count, size, size)).astype(np.float32), box, None, is_mirrored
        )
        whole = np.stack([box.unpack(scores) for scores in prediction.logits])
        mean = mean + softmax(whole[:, :, ::-1] if is_mirrored else whole)
        predictions.append(prediction)
    assert (average_predictions(predictions) == mean.argmax(0)).mean() > 0.9995


def test_huge_logits_do_not_overflow():
    box = Letterbox((8, 8), (8, 8), (8, 8))
    for count in (2, 3):
        logits = np.full((count, 8, 8), -3e4, np.float32)
        logits[1] = 3e4
        assert (average_predictions([Prediction(logits, box), Prediction(logits, box)]) == 1).all()


def test_windows_slide_by_half_and_the_last_ends_with_the_canvas():
    assert offsets(64, 64, 16) == [0]
    assert offsets(160, 64, 16) == [0, 32, 64, 96]
    assert offsets(144, 64, 16) == [0, 32, 64, 80]
    assert offsets(1932, 644, 14) == [0, 322, 644, 966, 1288]  # 640 / 320 of the original
    for length in range(64, 400, 16):
        starts = offsets(length, 64, 16)
        assert starts[-1] + 64 == length and max(np.diff([*starts, starts[-1] + 64])) <= 64


def test_overlapping_windows_are_averaged():
    """Each window answers with its own number; the brute force counts who covers a cell."""
    answers = iter(range(100))
    pixels = np.zeros((1, 3, 96, 80), np.float32)
    whole = slide(lambda w: np.full((1, 8, 8), next(answers), np.float32), pixels, (64, 64), 16)
    tops, lefts, cover = [0, 32], [0, 16], {}
    for index, (top, left) in enumerate((t, x) for t in tops for x in lefts):
        for y in range(top // 8, top // 8 + 8):
            for x in range(left // 8, left // 8 + 8):
                cover.setdefault((y, x), []).append(index)
    assert whole.shape == (1, 12, 10)
    for place, who in cover.items():
        assert whole[0][place] == np.mean(who)


def test_the_shorter_side_gets_the_models_size_as_in_the_original():
    sizes = [
        scaled_letterbox((480, 640), (640, 640), (644, 644), 14, ratio).image_hw for ratio in RATIOS
    ]
    assert sizes == [(640, 853), (845, 1126), (1107, 1476), (1459, 1946), (1920, 2560)]
    box = scaled_letterbox((480, 640), (640, 640), (644, 644), 14, 1.0)
    assert box.canvas_hw == (644, 854)
    # A frame of the canvas's own aspect is seen at ratio 1 as without averaging.
    assert scaled_letterbox((720, 1280), (360, 640), (364, 644), 14, 1.0) == Letterbox.fit(
        (720, 1280), (360, 640), 14
    )
    # Strips stay within reason.
    assert scaled_letterbox((1, 999), (64, 64), (64, 64), 16, 1.0).canvas_hw == (64, 256)


def test_every_window_has_the_canvas_of_a_static_model():
    seen = []

    def watch(images):
        seen.append(images.shape)
        return two(images)

    Segmenter(FakeRuntime(watch, spec((48, 64), (45, 64))), tta=2)(scene((90, 64)))
    assert set(seen) == {(1, 3, 48, 64)}
    # Ratio 1: 90 rows on 96, windows at 0, 24 rounded down to 16, ... and 48; then ratio 1.32.
    assert len(seen) == 2 * (4 + 2 * 6)


@pytest.mark.parametrize("hw", [(1, 1), (1, 60), (60, 1), (2, 3)])
def test_tiny_frames_get_masks(hw):
    red = np.full((*hw, 3), (0, 0, 255), np.uint8)
    assert (Segmenter(FakeRuntime(two, spec()), tta=2, guided=True)(red).labels == 1).all()


@pytest.mark.parametrize("tta", [-1, 6])
def test_other_numbers_of_scales_are_refused(tta):
    with pytest.raises(SpecMismatch, match=f"from 0 to 5; got {tta}"):
        Segmenter(FakeRuntime(two), tta=tta)


def test_a_grid_that_cannot_be_put_together_is_refused():
    odd = FakeRuntime(lambda images: np.zeros((1, 2, 5, 5), np.float32), spec())
    with pytest.raises(SpecMismatch, match="omit --tta"):
        Segmenter(odd, tta=1)(scene())


def test_the_description_says_what_is_averaged():
    description = Segmenter(FakeRuntime(two), tta=3, guided=True).description
    assert "averaged over 3 scales" in description and "edge-refined" in description
    assert "averaged" not in Segmenter(FakeRuntime(two)).description
