"""FeatureNet returns what the networks' own authors' code returns."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from seg.errors import SpecMismatch
from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.efficientnet_lite import EfficientNetLite0
from seg.models.backbones.registry import BACKBONES
from seg.models.embedding import FeatureNet
from seg.models.nets import architectures, build_net
from seg.models.official_embedding import assemble_embedding
from seg.models.official_weights import find_official, weights_id
from seg.spec import EMBEDDING, IMAGENET_MEAN, IMAGENET_STD, segmentation_outputs


@torch.no_grad()
def test_dinov2_gives_its_class_token_and_its_patches(tiny, arrays):
    golden = {k.removeprefix("56x98."): v for k, v in arrays("vit_tiny14_io").items()}
    backbone = DinoBackbone(tiny(), [11], name="tiny", source="")
    net = FeatureNet(backbone, IMAGENET_MEAN, IMAGENET_STD).eval()
    images = golden["input"] * net.normalise.std + net.normalise.mean
    cls, patches = net(images)
    assert_close(cls, golden["ff.x_norm_clstoken"], atol=5e-4, rtol=1e-4)
    flat = patches.flatten(2).transpose(1, 2)
    assert_close(flat, golden["ff.x_norm_patchtokens"], atol=5e-4, rtol=1e-4)
    assert patches.shape == (2, 48, 4, 7)


@torch.no_grad()
def test_layers_are_put_side_by_side(tiny, arrays):
    backbone = DinoBackbone(tiny(), [9, 11], name="tiny", source="")
    net = FeatureNet(backbone, IMAGENET_MEAN, IMAGENET_STD).eval()
    images = torch.rand(1, 3, 28, 42)
    cls, patches = net(images)
    assert cls.shape == (1, 96) and patches.shape == (1, 96, 2, 3)
    one = FeatureNet(DinoBackbone(tiny(), [11], name="tiny", source=""), (0.5,) * 3, (1.0,) * 3)
    one.normalise = net.normalise
    assert_close(cls[:, 48:], one.eval()(images)[0])


@torch.no_grad()
def test_efficientnet_lite_gives_its_packages_maps_on_one_grid():
    package = pytest.importorskip("efficientnet_lite_pytorch")
    reference = package.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(find_official("efficientnet_lite0"), weights_only=True))
    net, spec = assemble_embedding("efficientnet_lite0")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 96, 64)).astype(np.float32)
    ends = []
    for number in (2, 4, 10, 15):  # the last blocks before strides 8, 16 and 32, and at the end
        reference._blocks[number].register_forward_hook(lambda *call: ends.append(call[2]))
    reference.extract_features(torch.from_numpy((pixels - 127) / 128))
    cls, patches = net(torch.from_numpy(pixels / 255))
    assert patches.shape == (2, 24 + 40 + 112 + 320, 6, 4)
    assert_close(cls, torch.cat([end.mean((2, 3)) for end in ends], 1), atol=1e-4, rtol=1e-4)
    assert_close(cls, patches.mean((2, 3)), atol=1e-4, rtol=1e-4)
    # The cell in row 1, column 2: 4x4 cells at stride 4, its own at 16, and a quarter of one at 32.
    parts = patches[:, :, 1, 2].split([24, 40, 112, 320], 1)
    expected = [ends[0][:, :, 4:8, 8:12].mean((2, 3)), ends[1][:, :, 2:4, 4:6].mean((2, 3))]
    expected += [ends[2][:, :, 1, 2], ends[3][:, :, 0, 1]]
    for part, wanted in zip(parts, expected, strict=True):
        assert_close(part, wanted, atol=1e-4, rtol=1e-4)
    assert [output.mean_of for output in spec.outputs] == ["patches", ""]
    assert (spec.fit, spec.input_hw, spec.layers) == ("center_crop", (224, 224), ())


@torch.no_grad()
def test_some_maps_of_a_convolutional_network_are_those_of_all():
    whole, _ = assemble_embedding("efficientnet_lite0", "random")
    some, spec = assemble_embedding("efficientnet_lite0", "random", layers=[2, 3])
    images = torch.rand(1, 3, 64, 96)
    for found, every in zip(some(images), whole(images), strict=True):
        assert_close(found, every[:, 24 + 40 :])
    assert spec.layers == (2, 3)
    masks = dataclasses.replace(spec, outputs=segmentation_outputs(("a", "b")))
    with pytest.raises(SpecMismatch, match="read to segment; omit --layers"):
        build_net(masks)


def test_every_backbone_embeds():
    assert architectures(EMBEDDING) == list(BACKBONES)


def test_weights_have_an_id_that_only_their_values_decide(tiny):
    one, other = (DinoBackbone(tiny(), [k], name=f"{k}", source=f"{k}") for k in (3, 11))
    assert weights_id(one) == weights_id(other) != weights_id(EfficientNetLite0())
    with torch.no_grad():
        other.vit.norm.weight[5] += 1e-6
    assert weights_id(one) != weights_id(other)
    assert len(assemble_embedding("efficientnet_lite0", "random")[1].weights_id) == 64
