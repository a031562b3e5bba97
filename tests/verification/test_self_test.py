"""Planted faults: both the comparison of masks and the self-test catch each."""

import base64
import copy
import dataclasses
import json

import cv2
import numpy as np
import pytest
import torch

from seg import ArtifactError, EngineFailure, ParityError, Segmenter
from seg.imaging.image_io import photo
from seg.models.checkpoint import save_net
from seg.models.nets import build_net
from seg.runtimes.fake import FakeRuntime
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec, Output, segmentation_outputs
from seg.verification.parity import compare
from seg.verification.self_test import (
    GOLDEN_KEY,
    record,
    synthetic_image,
    verify,
    verify_scores,
)

SPEC = ModelSpec(
    arch="lite",
    outputs=segmentation_outputs(("background", "person")),
    input_hw=(96, 128),
    stride=32,
)


@pytest.fixture(scope="module")
def net():
    """A network whose masks cover about half of the photo."""
    torch.manual_seed(0)
    net = build_net(SPEC).eval()
    box = Segmenter(FakeRuntime(lambda x: x, SPEC)).letterbox((512, 512))
    with torch.inference_mode():
        logits = net(torch.from_numpy(box.pack(photo("astronaut"), SPEC.pad_rgb)))[0]
        net.head.bias[1] -= (logits[1] - logits[0])[:, :24].median()
    return net


def segmenter(net, change=lambda images: images, precision="float32"):
    def run(images):
        with torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(change(images)))
            return net(images.to(net.head.weight.dtype)).float().numpy()

    runtime = FakeRuntime(run, SPEC)
    runtime.precision = precision
    return Segmenter(runtime)


def perturbed(net):
    """The weights of two layers are off by a tenth."""
    with torch.no_grad():
        net.laterals[0].weight.mul_(1 + 0.1 * torch.randn_like(net.laterals[0].weight))
        net.stem[0].weight.mul_(1 + 0.1 * torch.randn_like(net.stem[0].weight))


def wrong_mean(net):
    net.normalise.mean.fill_(0.5)


def half_pixel(images):
    """Moves the image as a resize with corners in place of half-pixel centers does."""
    moved = [
        cv2.warpAffine(
            channel, np.float32([[1, 0, 0.5], [0, 1, 0.5]]), channel.shape[::-1],
            borderMode=cv2.BORDER_REPLICATE,
        )
        for channel in images[0]
    ]  # fmt: skip
    return np.stack(moved)[None]


FAULTS = {
    "weights perturbed": (perturbed, lambda images: images),
    "red and blue swapped": (lambda net: None, lambda images: images[:, ::-1]),
    "wrong mean": (wrong_mean, lambda images: images),
    "half a pixel off": (lambda net: None, half_pixel),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_a_planted_fault_is_caught(net, name, precision):
    spoil, change = FAULTS[name]
    other = copy.deepcopy(net)
    torch.manual_seed(1)
    spoil(other)
    source, faulty = segmenter(net), segmenter(other, change, precision)
    with pytest.raises(ParityError, match="results differ"):
        compare(source.runtime, faulty.runtime, [photo("astronaut")]).require(precision)
    faulty.runtime.metadata = {GOLDEN_KEY: record(source.runtime)}
    with pytest.raises(ParityError, match="off by"):
        verify(faulty)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rounding_is_no_fault(net, dtype):
    name = str(dtype).removeprefix("torch.")
    source, rounded = segmenter(net), segmenter(copy.deepcopy(net).to(dtype), precision=name)
    rounded.runtime.metadata = {GOLDEN_KEY: record(source.runtime)}
    verify(rounded)


def test_bfloat16_does_not_pass_for_float32(net):
    rounded = segmenter(copy.deepcopy(net).to(torch.bfloat16))
    rounded.runtime.metadata = {GOLDEN_KEY: record(segmenter(net).runtime)}
    with pytest.raises(ParityError, match=r"at most 0\.001 in float32"):
        verify(rounded)


def test_the_error_by_hand():
    """Scores 99 and 101 deviate by 1; an engine that adds 0.04 is off by 0.04 deviations."""

    def run(offset):
        wave = np.where(np.arange(16 * 16) % 2, 1, -1).reshape(16, 16)
        return Segmenter(FakeRuntime(lambda x: np.float32([[offset + wave, offset - wave]])))

    candidate = run(100.04)
    candidate.runtime.precision = "bfloat16"
    candidate.runtime.metadata = {GOLDEN_KEY: record(run(100).runtime)}
    assert verify(candidate).error == pytest.approx(0.04, rel=1e-3)


def test_scores_are_compared_all_over_a_map():
    """The last quarter of the rows is off; a map has four times as many scores as are kept."""
    scores = np.random.default_rng(0).standard_normal((1, 2, 64, 64), dtype=np.float32)
    changed = scores.copy()
    changed[:, :, 48:] += 1
    candidate = Segmenter(FakeRuntime(lambda images: changed))
    candidate.runtime.metadata = {GOLDEN_KEY: record(FakeRuntime(lambda images: scores))}
    with pytest.raises(ParityError, match="off by"):
        verify(candidate)


def test_the_worst_of_several_outputs_is_reported():
    """The maps deviate by 1 and are off by 0.04; the color is exact."""
    wave = np.where(np.arange(64) % 2, np.float32(1), np.float32(-1)).reshape(8, 8)

    def returning(offset):
        outputs = {"logits": np.stack([wave, -wave])[None] + offset, "color": np.eye(3)[:1]}
        runtime = FakeRuntime(lambda images: outputs, spec)
        runtime.precision = "bfloat16"
        return runtime

    spec = dataclasses.replace(SPEC, outputs=(*SPEC.outputs, Output("color", "mean_color")))
    candidate = returning(np.float32(0.04))
    candidate.metadata = {GOLDEN_KEY: record(returning(np.float32(0)))}
    assert verify_scores(candidate).error == pytest.approx(0.04, rel=1e-3)


def test_recorded_scores_that_are_not_numbers_pass_nothing():
    candidate = Segmenter(FakeRuntime(lambda images: np.zeros((1, 2, 4, 4), np.float32)))
    scores = base64.b64encode(np.full(2 * 4 * 4, np.nan, "<f4").tobytes()).decode("ascii")
    recorded = {"logits": {"shape": [2, 4, 4], "scores": scores}}
    candidate.runtime.metadata = {GOLDEN_KEY: json.dumps(recorded)}
    with pytest.raises(ParityError, match="off by nan"):
        verify(candidate)


@pytest.mark.parametrize("damaged", ["logits", "color"])
def test_one_score_that_is_not_a_number_is_enough(damaged):
    def run(images):
        outputs = {"logits": np.zeros((1, 2, 24, 32), np.float32), "color": np.zeros((1, 3))}
        outputs[damaged].flat[4 % outputs[damaged].size] = np.nan
        return outputs

    spec = dataclasses.replace(SPEC, outputs=(*SPEC.outputs, Output("color", "mean_color")))
    with pytest.raises(EngineFailure, match="Not every score is finite"):
        record(FakeRuntime(run, spec))


def test_the_image_is_the_same_everywhere():
    """Three pixels of it, worked out on paper."""
    drawn = synthetic_image((90, 120))
    assert drawn.shape == (90, 120, 3) and drawn.dtype == np.uint8
    assert drawn[0, 0].tolist() == [0, 40, (30**2 + 60**2) // 61]
    assert drawn[11, 0].tolist() == [33 // 2, 190, (19**2 + 60**2) // 61]
    assert drawn[30, 60].tolist() == [(90 + 300) // 2, (2 + 8) % 2 * 150 + 40, 0]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"logits": {}}', '{"logits": 3}'),
        *('{"shape": [2, 4, 4], "scores": "AAAA"}', '{"shape": 3, "scores": "%"}'),
    ],
)
def test_what_is_damaged_or_absent_is_named(net, text):
    one = segmenter(net)
    with pytest.raises(ArtifactError, match="carries no scores"):
        verify(one)
    one.runtime.metadata = {GOLDEN_KEY: text}
    with pytest.raises(ArtifactError, match="damaged"):
        verify(one)


def test_what_is_kept_is_small(net):
    assert len(record(segmenter(net).runtime)) < 12_000
    assert json.loads(record(segmenter(net).runtime))["logits"]["shape"] == [2, 24, 32]


@pytest.mark.parametrize(
    ("precision", "least", "most"),
    [("float32", 0, 0), ("float16", 1e-6, 1e-2), ("bfloat16", 1e-4, 5e-2)],
)
def test_a_checkpoint_is_compared_with_itself_in_eager_float32(
    net, tmp_path, precision, least, most
):
    save_net(tmp_path / "net.pt", net, SPEC)
    with Segmenter(tmp_path / "net.pt", "cpu", precision=precision) as segment:
        found = verify(segment)
    assert least <= found.error <= most
    assert "from those of the same weights, torch" in str(found)
    assert "eager, cpu, float32" in str(found)


def test_weights_that_changed_on_the_way_are_caught(net, tmp_path):
    save_net(tmp_path / "net.pt", net, SPEC)
    with Segmenter(tmp_path / "net.pt", "cpu") as segment:
        torch.manual_seed(1)
        perturbed(segment.runtime.net)
        with pytest.raises(ParityError, match="off by"):
            verify(segment)


def test_a_network_in_memory_has_nothing_to_compare_with(net):
    with pytest.raises(ArtifactError, match="carries no scores"):
        verify(Segmenter(TorchRuntime(net, SPEC, torch.device("cpu"))))
