"""Several heads on one backbone: each output is what its own model returns, from one run."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from apps import infer_video
from export import combine, to_onnx
from seg import cli, open_predictor
from seg.models.backbones.registry import BACKBONES, dinov2
from seg.models.backbones.vit import ViTConfig
from seg.models.checkpoint import load_net, save_net
from seg.models.nets import build_net
from seg.models.official_weights import weights_id
from seg.predictors.one_pass import OnePass
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec, classification_outputs, segmentation_outputs
from tests.video.conftest import write_clip

COMMON = {"arch": "small", "input_hw": (56, 84), "stride": 14}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    config = ViTConfig(embed_dim=48, depth=4, num_heads=3)
    monkeypatch.setitem(BACKBONES, "small", dinov2("small", config))


def write(path, spec, seed=0):
    """Writes a checkpoint whose head has weights of its own and whose backbone is the same."""
    torch.manual_seed(seed)
    backbone = BACKBONES["small"].build("small", spec.layers, "")
    torch.manual_seed(len(spec.outputs[0].classes) + 7)
    net = build_net(spec, backbone)
    for parameter in net.head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    save_net(path, net.eval(), dataclasses.replace(spec, weights_id=weights_id(backbone)))
    return path


@pytest.fixture
def models(tmp_path):
    segment = ModelSpec(
        outputs=segmentation_outputs(("background", "person")), layers=(0, 1, 2, 3), **COMMON
    )
    classify = ModelSpec(
        outputs=classification_outputs(("cat", "dog", "owl")), layers=(3,), head="linear",
        fit="center_crop", **COMMON,
    )  # fmt: skip
    return write(tmp_path / "segment.pt", segment), write(tmp_path / "classify.pt", classify)


@pytest.fixture
def combined(models, tmp_path):
    words = ["--models", *map(str, models), "--embed", "--output", str(tmp_path / "all.pt")]
    assert cli.run(combine.main, words) == 0
    return tmp_path / "all.pt"


def test_each_output_is_what_its_own_model_returns(models, combined):
    net, spec = load_net(combined)
    assert [output.name for output in spec.outputs] == ["logits", "scores", "cls", "patches"]
    assert spec.fit == "letterbox" and spec.layers == (0, 1, 2, 3)
    images = torch.rand(2, 3, 56, 84)
    with torch.inference_mode():
        logits, scores, cls, patches = net(images)
        for made, path in ((logits, models[0]), (scores, models[1])):
            torch.testing.assert_close(made, load_net(path)[0](images), rtol=0, atol=1e-5)
        tokens = net.backbone.vit.intermediate_tokens(net.normalise(images), [3])[0]
    torch.testing.assert_close(cls, tokens.cls)
    torch.testing.assert_close(patches, tokens.as_map())


def test_the_backbone_runs_once_for_all_tasks(combined):
    net, spec = load_net(combined)
    runs = []
    net.backbone.register_forward_hook(lambda *_: runs.append(1))
    runtime = TorchRuntime(net, spec, torch.device("cpu"))
    tasks = ("segmentation", "classification", "embedding")
    predictors = [open_predictor(runtime, task=task) for task in tasks]
    image = np.random.default_rng(0).integers(0, 256, (60, 100, 3), np.uint8)
    found = OnePass(predictors)(image)
    assert len(runs) == 1 and list(found) == list(tasks)
    for task, predictor in zip(tasks, predictors, strict=True):
        alone = predictor(image)
        if task == "segmentation":
            assert np.array_equal(found[task].labels, alone.labels)
        elif task == "classification":
            np.testing.assert_allclose(found[task].probabilities, alone.probabilities, atol=1e-6)
        else:
            np.testing.assert_allclose(found[task].patches, alone.patches, atol=1e-5)


def test_the_exported_file_serves_the_video_loop(combined, tmp_path, capsys):
    exported = tmp_path / "all.onnx"
    words = ["--model", str(combined), "--output", str(exported), "--imgsz", "84", "56"]
    assert cli.run(to_onnx.main, words) == 0
    write_clip(tmp_path / "clip.mp4")
    run = ["--model", str(exported), "--input", str(tmp_path / "clip.mp4"), "--device", "cpu"]
    run += ["--output", str(tmp_path / "out.mp4"), "--save-results", str(tmp_path / "out.jsonl")]
    assert cli.run(infer_video.main, [*run, "--verify"]) == 0
    assert "in one pass" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    for line in lines:
        assert set(line["segmentation"]) == {"person"}
        assert sum(line["classification"].values()) == pytest.approx(1, abs=1e-5)
        assert np.linalg.norm(line["embedding"]["vector"]) == pytest.approx(1, abs=1e-4)
    colored = [*run[:-4], "--output", str(tmp_path / "colors.mp4"), "--tasks", "segment,pca"]
    assert cli.run(infer_video.main, colored) == 0
    run[5:] = ["cpu", "--output", str(tmp_path / "one.mp4"), "--tasks", "classification"]
    assert cli.run(infer_video.main, run) == 0
    run[-1] = "classify,depth"
    run[-3] = str(tmp_path / "two.mp4")
    assert cli.run(infer_video.main, run) == 1
    assert "depth" in capsys.readouterr().err.splitlines()[-1]


def test_models_that_share_nothing_are_refused(models, tmp_path, capsys):
    other = ModelSpec(
        outputs=classification_outputs(("cat", "dog")), layers=(3,), head="linear", **COMMON
    )
    path = write(tmp_path / "other.pt", other, seed=5)
    cases = {
        "weights_id differs": [models[0], path],
        "There is one model": [models[0]],
        "Each model is for another task": [models[1], models[1]],
    }
    for text, paths in cases.items():
        words = ["--models", *map(str, paths), "--output", str(tmp_path / "no.pt")]
        assert cli.run(combine.main, words) == 1
        assert text in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "no.pt").exists()
