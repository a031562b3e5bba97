"""Frames to masks on a device, against the processor's own way; the device here is the CPU."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg import EngineFailure, Segmenter, ShapeError
from seg.imaging.letterbox import Letterbox
from seg.predictors.segmenter import labels_of
from seg.runtimes.fake import DEFAULT, FakeRuntime
from seg.runtimes.on_device import DeviceFrames
from tests.on_device import OnDevice

CPU, PAD = torch.device("cpu"), DEFAULT.pad_rgb


def frames(letterbox, network=None):
    return DeviceFrames(letterbox, PAD, CPU, network or (lambda images: images[:, :2]))


def picture(hw):
    """Noise of a few pixels' width: neighbours differ, and no resize leaves it alone."""
    noise = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (3, 3), 1)


sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))


@given(sizes, st.sampled_from([(360, 640), (96, 96), (33, 70)]))
@settings(max_examples=25, deadline=None)
def test_the_canvas_is_the_processors(hw, box):
    letterbox, image = Letterbox.fit(hw, box, 16), picture(hw)
    with torch.inference_mode():
        ours = frames(letterbox)
        packed = ours.pack(ours.upload(image)).numpy()
    levels = 255 * np.abs(packed - letterbox.pack(image, PAD))
    # OpenCV's fixed-point weights fall to the other side of a half now and then.
    assert levels.max() < 1.01 and (levels > 0.5).mean() < 0.3


@pytest.mark.parametrize("hw", [(96, 128), (192, 256), (200, 120), (450, 600)])
def test_where_weights_are_exact_the_canvas_is_too(hw):
    letterbox, image = Letterbox.fit(hw, (96, 128), 16), picture(hw)
    same = Letterbox(hw, hw, (208, 256)) if hw == (200, 120) else letterbox
    ours = frames(same)
    levels = 255 * np.abs(ours.pack(ours.upload(image)).numpy() - same.pack(image, PAD))
    assert (levels > 0.5).mean() < 1e-3


@given(sizes, st.integers(2, 4), st.sampled_from([(22, 40), (6, 9)]))
@settings(max_examples=25, deadline=None)
def test_labels_are_the_processors(hw, num_classes, cells):
    letterbox = Letterbox.fit(hw, (cells[0] * 16, cells[1] * 16), 16)
    grid = letterbox.canvas_hw[0] // 4, letterbox.canvas_hw[1] // 4
    logits = np.random.default_rng(1).normal(size=(num_classes, *grid)).astype(np.float32)
    found = frames(letterbox).labels(torch.from_numpy(logits)[None]).numpy()
    assert found.dtype == np.uint8
    assert (found != labels_of(logits, letterbox)).mean() <= 1e-3


def test_a_segmenter_takes_the_devices_mask():
    def network(images):
        return np.stack([0.5 - images[:, 0], images[:, 0] - 0.5], axis=1)

    image = picture((75, 120))
    with Segmenter(FakeRuntime(network)) as here, Segmenter(OnDevice(network)) as there:
        assert here.on_device((75, 120)) is None and there.on_device((75, 120))
        (one,), (other,) = here.looks(image), there.looks(image)
        assert one.labels is None and other.labels is there.labels([other])
        np.testing.assert_allclose(one.logits, other.logits, atol=1.01 / 255)
        assert 0.1 < one.logits[1].mean() + 0.5 < 0.9
        assert (here(image).labels != there(image).labels).mean() < 0.01
        there.labels([other])[:] = 9
        assert there(image).labels.max() == 1  # results belong to the caller


def test_another_size_of_frame_is_fitted_anew():
    with Segmenter(OnDevice(lambda images: images[:, :2] - 0.5)) as segmenter:
        for hw in ((30, 50), (64, 64), (30, 50)):
            assert segmenter(picture(hw)).labels.shape == hw


def test_guided_masks_and_averages_stay_with_the_processor():
    def network(images):
        return images[:, :2] - 0.5

    for words in ({"guided": True}, {"tta": 1}):
        with Segmenter(FakeRuntime(network), **words) as here:
            expected = here(picture((60, 80))).labels
        with Segmenter(OnDevice(network), **words) as there:
            np.testing.assert_array_equal(there(picture((60, 80))).labels, expected)


def test_a_device_that_fails_and_scores_that_are_none_are_said():
    def broken(images):
        raise RuntimeError("out of memory")

    letterbox = Letterbox.fit((30, 50), (64, 64), 16)
    with pytest.raises(EngineFailure, match=r"^cpu failed: out of memory$"):
        frames(letterbox, broken).run(picture((30, 50)))
    with pytest.raises(ShapeError, match=r"\(30, 50\); got \(31, 50\)"):
        frames(letterbox).run(picture((31, 50)))
    with (
        Segmenter(OnDevice(lambda images: images[:, :2] * np.float32(np.nan))) as segmenter,
        pytest.raises(EngineFailure, match="Not every score"),
    ):
        segmenter(picture((30, 50)))
