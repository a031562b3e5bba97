"""The GPU's own way from image to mask against the CPU's; the device here is the CPU."""

import numpy as np
import pytest
import torch

from seg import EngineFailure, ParityError, Segmenter
from seg.imaging.letterbox import Letterbox
from seg.runtimes.fake import FakeRuntime
from seg.verification.gpu_path import check_gpu_path
from seg.verification.self_test import GOLDEN_KEY, record, synthetic_image, verify
from tests.fake_gpu import FakeGpuRuntime


def network(images):
    """Red against blue, in cells of four pixels: a map full of edges, nearly all of one class."""
    cells = images.reshape(1, 3, images.shape[2] // 4, 4, images.shape[3] // 4, 4).mean((3, 5))
    margin = cells[:, 0] - cells[:, 2] - 2
    return np.stack([-margin, margin], 1).astype(np.float32)


def three_classes(images):
    return np.concatenate([network(images), -2 * network(images)[:, :1] ** 2], 1)


@pytest.mark.parametrize("function", [network, three_classes])
def test_both_ways_agree(function):
    with Segmenter(FakeGpuRuntime(function)) as segmenter:
        found = check_gpu_path(segmenter, synthetic_image)
    assert found.max_levels <= 1.01 and found.mean_levels < 0.3 and found.disagreement <= 1e-3


def test_an_engine_on_the_cpu_has_no_such_way():
    with Segmenter(FakeRuntime(network)) as segmenter:
        assert check_gpu_path(segmenter, synthetic_image) is None


def swap_colors(gpu, monkeypatch):
    upload = gpu.upload
    monkeypatch.setattr(gpu, "upload", lambda image: upload(image).flip(2))


def pad_with_black(gpu, monkeypatch):
    gpu._pad_rgb = torch.zeros_like(gpu._pad_rgb)


def round_down(gpu, monkeypatch):
    """Half a gray level in the mean, and never more than one."""

    def pack(frame, letterbox):
        rows, columns = gpu._fit(letterbox)
        height, width = letterbox.image_hw
        fitted = rows @ frame.permute(2, 0, 1).flip(0).float() @ columns
        canvas = gpu._pad_rgb.expand(1, 3, *letterbox.canvas_hw).contiguous()
        canvas[0, :, :height, :width] = fitted.floor().clamp(0, 255) / 255
        return canvas

    monkeypatch.setattr(gpu, "pack", pack)


def shift_labels(gpu, monkeypatch):
    decode = gpu.decode
    monkeypatch.setattr(gpu, "decode", lambda scores, box: decode(scores, box).roll(1, 1))


def forget_the_padding(gpu, monkeypatch):
    """Resizes the whole canvas onto the frame, in place of the part that is not padding."""
    decode = gpu.decode

    def whole(scores, box):
        return decode(scores, Letterbox(box.frame_hw, box.canvas_hw, box.canvas_hw))

    monkeypatch.setattr(gpu, "decode", whole)


@pytest.mark.parametrize(
    "fault", [swap_colors, pad_with_black, round_down, shift_labels, forget_the_padding]
)
def test_a_planted_fault_is_caught(fault, monkeypatch):
    with Segmenter(FakeGpuRuntime(network), input_hw=(60, 64)) as segmenter:
        fault(segmenter.gpu, monkeypatch)
        with pytest.raises(ParityError, match="Masks made on the GPU differ"):
            check_gpu_path(segmenter, synthetic_image)


def test_the_self_test_of_a_model_includes_it(monkeypatch):
    with Segmenter(FakeGpuRuntime(network)) as segmenter:
        segmenter.runtime.metadata = {GOLDEN_KEY: record(FakeRuntime(network))}
        assert "on the GPU the canvas is off by" in str(verify(segmenter))
        shift_labels(segmenter.gpu, monkeypatch)
        with pytest.raises(ParityError, match="Masks made on the GPU differ"):
            verify(segmenter)


def test_a_device_that_fails_is_one_line():
    def broken(images):
        raise RuntimeError("out of memory")

    with (
        Segmenter(FakeGpuRuntime(broken)) as segmenter,
        pytest.raises(EngineFailure, match="memory"),
    ):
        check_gpu_path(segmenter, synthetic_image)
