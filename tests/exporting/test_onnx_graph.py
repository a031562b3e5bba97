"""A graph returns each of its spec's outputs under its name, in any precision."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from seg.exporting.onnx_graph import write_onnx
from seg.kinds import Precision
from seg.runtimes.open import open_runtime
from seg.runtimes.pytorch import TorchRuntime
from seg.spec import ModelSpec, Output


class TwoTasks(nn.Module):
    """The mean color of an image, and which pixels are brighter than it."""

    def forward(self, images):
        color = images.mean((2, 3))
        return color, images.mean(1, keepdim=True) - color.mean(1)[:, None, None, None]


def spec_of(canvas_hw, precision):
    return ModelSpec(
        arch="two", outputs=(Output("color", "mean_color"), Output("brighter", "brightness")),
        input_hw=(32, 48), stride=16, canvas_hw=canvas_hw, batch=2 if canvas_hw else None,
        precision=precision,
    )  # fmt: skip


@pytest.mark.parametrize("canvas_hw", [None, (32, 48)])
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_several_outputs_keep_their_names(canvas_hw, precision, tmp_path):
    spec = spec_of(canvas_hw, precision)
    write_onnx(TwoTasks(), spec, tmp_path / "two.onnx")
    session = ort.InferenceSession(str(tmp_path / "two.onnx"))
    assert [one.name for one in session.get_inputs()] == ["images"]
    assert [one.name for one in session.get_outputs()] == ["color", "brighter"]
    assert {one.type for one in session.get_outputs()} == {"tensor(float)"}
    images = np.random.default_rng(0).random((3, 3, 32, 48), np.float32)
    with open_runtime(tmp_path / "two.onnx", "cpu") as runtime:
        got = runtime.run(images)
    expected = TorchRuntime(TwoTasks(), spec, torch.device("cpu")).run(images)
    assert got["color"].shape == (3, 3) and got["brighter"].shape == (3, 1, 32, 48)
    for name, array in expected.items():
        atol = 1e-5 if precision == Precision.FLOAT32 else 2e-3
        np.testing.assert_allclose(got[name], array, atol=atol)


def test_a_network_in_training_is_exported_in_evaluation(tmp_path):
    """In training the norm would divide by the image's own deviation and not by that of 1."""
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1)).train()
    conv = net[0]
    nn.init.constant_(conv.weight, 2)
    nn.init.constant_(conv.bias, 5)
    outputs = (Output("brighter", "brightness"),)
    spec = ModelSpec(arch="one", outputs=outputs, input_hw=(32, 48), stride=16)
    write_onnx(net, spec, tmp_path / "one.onnx")
    images = np.random.default_rng(0).random((2, 3, 32, 48), np.float32)
    session = ort.InferenceSession(str(tmp_path / "one.onnx"))
    (found,) = session.run(None, {"images": images})
    expected = 2 * images.sum(1, keepdims=True) + 5  # running mean 0, running deviation 1
    np.testing.assert_allclose(found, expected, rtol=1e-4)
