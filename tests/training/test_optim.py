"""Freezing: a frozen part stays what it is, whatever the training of the rest does."""

import numpy as np
import pytest
import torch
from torch import nn

from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.segmentation import LinearSegmentationNet
from seg.spec import IMAGENET_MEAN, IMAGENET_STD
from seg.training.optim import freeze, train_mode


@pytest.fixture
def net(golden):
    vit = DinoVisionTransformer(ViTConfig(embed_dim=48, depth=12, num_heads=3))
    with np.load(golden / "vit_tiny14_state.npz") as file:
        vit.load_state_dict({key: torch.from_numpy(file[key]) for key in file})
    backbone = DinoBackbone(vit, name="tiny", source="golden")
    return LinearSegmentationNet(backbone, 2, IMAGENET_MEAN, IMAGENET_STD)


def step(net):
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.1)
    net(torch.rand(2, 3, 28, 42)).square().mean().backward()
    optimizer.step()


def test_a_training_step_leaves_every_bit_of_a_frozen_backbone_as_it_was(net):
    freeze(net.backbone)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    train_mode(net)
    step(net)
    for key, value in net.state_dict().items():
        changed = not torch.equal(value, before[key])
        assert changed is key.startswith("head."), key


def test_a_backbone_that_is_not_frozen_is_trained(net):
    before = net.backbone.vit.blocks[0].attn.qkv.weight.clone()
    train_mode(net)
    step(net)
    assert not torch.equal(net.backbone.vit.blocks[0].attn.qkv.weight, before)
    assert all(module.training for module in net.backbone.modules())


def test_a_frozen_part_stays_in_eval_mode_while_the_rest_trains(net):
    freeze(net.backbone)
    train_mode(net.eval())
    assert net.training and all(module.training for module in net.head.modules())
    assert not any(module.training for module in net.backbone.modules())


def test_a_frozen_batch_norm_keeps_its_statistics():
    net = nn.Sequential(nn.Sequential(nn.BatchNorm2d(3), nn.Dropout()), nn.BatchNorm2d(3))
    freeze(net[0])
    train_mode(net)
    net(torch.rand(2, 3, 4, 4) + 5)
    assert torch.equal(net[0][0].running_mean, torch.zeros(3)) and not net[0][1].training
    assert net[1].running_mean.min() > 0


def test_a_frozen_backbone_records_no_gradients(net):
    freeze(net.backbone)
    assert not net.features(torch.zeros(1, 3, 28, 28)).requires_grad
    assert net(torch.zeros(1, 3, 28, 28)).requires_grad
