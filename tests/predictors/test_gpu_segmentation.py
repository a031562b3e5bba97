"""Frames to masks on a device, against the processor's own way; the device here is the CPU."""

import gc
import weakref

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seg import EngineFailure, Segmenter, ShapeError
from seg.imaging.letterbox import Letterbox
from seg.predictors.decode import decode_logits
from seg.predictors.gpu_segmentation import GpuSegmentation
from seg.runtimes.fake import DEFAULT, FakeRuntime
from tests.fake_gpu import FakeGpuRuntime

PAD = DEFAULT.pad_rgb


def gpu(network=None):
    return GpuSegmentation(FakeGpuRuntime(network or (lambda images: images[:, :2])), "logits")


def noise(hw):
    """Noise of a few pixels' width: neighbors differ, and no resize leaves it alone."""
    image = np.random.default_rng(0).integers(0, 256, (*hw, 3), dtype=np.uint8)
    return cv2.GaussianBlur(image, (3, 3), 1)


sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))


@given(sizes, st.sampled_from([(360, 640), (96, 96), (33, 70)]))
@settings(max_examples=25, deadline=None)
def test_the_canvas_is_the_processors(hw, box):
    letterbox, image = Letterbox.fit(hw, box, 16), noise(hw)
    ours = gpu()
    packed = ours.pack(ours.upload(image), letterbox).numpy()
    levels = 255 * np.abs(packed - letterbox.pack(image, PAD))
    # OpenCV's fixed-point weights fall to the other side of a half now and then.
    assert levels.max() < 1.01 and (levels > 0.5).mean() < 0.3


@pytest.mark.parametrize("hw", [(96, 128), (192, 256), (200, 120), (450, 600)])
def test_where_weights_are_exact_the_canvas_is_too(hw):
    letterbox, image = Letterbox.fit(hw, (96, 128), 16), noise(hw)
    same = Letterbox(hw, hw, (208, 256)) if hw == (200, 120) else letterbox
    ours = gpu()
    levels = 255 * np.abs(ours.pack(ours.upload(image), same).numpy() - same.pack(image, PAD))
    assert (levels > 0.5).mean() < 1e-3


@given(sizes, st.integers(2, 4), st.sampled_from([(22, 40), (6, 9)]))
@settings(max_examples=25, deadline=None)
def test_labels_are_the_processors(hw, num_classes, cells):
    letterbox = Letterbox.fit(hw, (cells[0] * 16, cells[1] * 16), 16)
    grid = letterbox.canvas_hw[0] // 4, letterbox.canvas_hw[1] // 4
    logits = np.random.default_rng(1).normal(size=(num_classes, *grid)).astype(np.float32)
    found = gpu().decode(torch.from_numpy(logits)[None], letterbox).numpy()
    assert found.dtype == np.uint8
    assert (found != decode_logits(logits, letterbox.unpack)).mean() <= 1e-3


def margin_of_red(images):
    return np.stack([0.5 - images[:, 0], images[:, 0] - 0.5], axis=1)


def test_a_segmenter_takes_the_devices_mask():
    image = noise((75, 120))
    with (
        Segmenter(FakeRuntime(margin_of_red)) as here,
        Segmenter(FakeGpuRuntime(margin_of_red)) as there,
    ):
        assert here.gpu is None and there.gpu
        (one,), (other,) = here.predict_logits(image), there.predict_logits(image)
        assert one.labels is None and other.labels is there.decode([other])
        np.testing.assert_allclose(one.logits, other.logits, atol=1.01 / 255)
        assert 0.1 < one.logits[1].mean() + 0.5 < 0.9
        assert (here(image).labels != there(image).labels).mean() < 0.01
        there.decode([other])[:] = 9
        assert there(image).labels.max() == 1  # results belong to the caller


def test_another_size_of_frame_is_fitted_anew():
    with Segmenter(FakeGpuRuntime(lambda images: images[:, :2] - 0.5)) as segmenter:
        for hw in ((30, 50), (64, 64), (30, 50)):
            assert segmenter(noise(hw)).labels.shape == hw


def test_many_frames_get_the_masks_that_each_gets_alone():
    batches = []

    def network(images):
        batches.append(len(images))
        return margin_of_red(images)

    images = [noise(hw) for hw in ((30, 50), (64, 64), (60, 100), (31, 50))]
    segmenter = Segmenter(FakeGpuRuntime(network))
    together = segmenter.predict(images)
    assert batches == [3, 1]
    for image, mask in zip(images, together, strict=True):
        np.testing.assert_array_equal(mask.labels, segmenter(image).labels)


def test_guided_masks_and_averages_stay_with_the_processor():
    def network(images):
        return images[:, :2] - 0.5

    for words in ({"guided": True}, {"tta": 1}):
        with Segmenter(FakeRuntime(network), **words) as here:
            expected = here(noise((60, 80))).labels
        with Segmenter(FakeGpuRuntime(network), **words) as there:
            assert there.gpu is None
            np.testing.assert_array_equal(there(noise((60, 80))).labels, expected)


def test_a_failing_device_and_scores_that_are_not_numbers_are_errors():
    def broken(images):
        raise RuntimeError("out of memory")

    letterbox = Letterbox.fit((30, 50), (64, 64), 16)
    with pytest.raises(EngineFailure, match=r"^cpu failed: out of memory$"):
        gpu(broken)([noise((30, 50))], [letterbox])
    with pytest.raises(ShapeError, match=r"\(30, 50\); got \(31, 50\)"):
        gpu()([noise((31, 50))], [letterbox])
    with (
        Segmenter(FakeGpuRuntime(lambda images: images[:, :2] * np.float32(np.nan))) as segmenter,
        pytest.raises(EngineFailure, match="Not every score"),
    ):
        segmenter(noise((30, 50)))


def test_a_closed_segmenter_keeps_nothing_on_the_device():
    with FakeGpuRuntime(margin_of_red) as runtime:
        segmenter = Segmenter(runtime)
        segmenter(noise((30, 50)))
        kept = weakref.ref(segmenter.gpu)
        segmenter.close()
        gc.collect()
        assert kept() is None
        assert segmenter.gpu is None
        with pytest.raises(EngineFailure, match="closed"):
            segmenter(noise((30, 50)))
        assert Segmenter(runtime)(noise((30, 50))).labels.shape == (30, 50)  # the caller's still
