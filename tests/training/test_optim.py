"""Freezing: a frozen part stays what it is, whatever the training of the rest does."""

import numpy as np
import pytest
import torch
from torch import nn

from seg.models.backbones.dinov2 import DinoBackbone
from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.models.segmentation import LinearSegmentationNet
from seg.spec import IMAGENET_MEAN, IMAGENET_STD
from seg.training.optim import (
    AveragedNet,
    freeze,
    parameter_groups,
    train_mode,
    trained_names,
)


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


def test_norms_and_biases_are_spared_weight_decay():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2, bias=False))
    decayed, spared = parameter_groups(net, 0.05)
    assert [id(p) for p in decayed["params"]] == [id(net[0].weight), id(net[2].weight)]
    assert [id(p) for p in spared["params"]] == [
        *(id(net[0].bias), id(net[1].weight), id(net[1].bias))
    ]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)


def test_a_step_without_gradient_shrinks_weights_alone():
    """AdamW without a gradient multiplies what decays by 1 - lr x decay."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.AdamW(parameter_groups(net, 0.5), lr=0.1).step()
    for name, value in net.named_parameters():
        scale = 0.95 if name == "0.weight" else 1.0
        torch.testing.assert_close(value.detach(), before[name] * scale)


def test_what_is_frozen_is_in_no_group(net):
    freeze(net.backbone)
    held = {id(p) for group in parameter_groups(net, 0.1) for p in group["params"]}
    assert held == {id(p) for p in net.head.parameters()}


def test_an_average_holds_parameters_and_statistics_of_what_is_trained(net):
    freeze(net.backbone)
    average = AveragedNet(net, 0.9)
    average.update(net)
    weight, mean = net.head.conv_seg.weight.clone(), net.head.bn.running_mean.clone()
    with torch.no_grad():
        net.head.conv_seg.weight += 1
        net.head.bn.running_mean += 2
        net.head.bn.num_batches_tracked += 7
    average.update(net)
    head = average.net.head
    torch.testing.assert_close(head.conv_seg.weight, weight + 0.1)
    torch.testing.assert_close(head.bn.running_mean, mean + 0.2)
    assert head.bn.num_batches_tracked == net.head.bn.num_batches_tracked
    assert average.num_updates == 2 and head is not net.head


def test_an_average_shares_the_frozen_backbone(net):
    freeze(net.backbone)
    average = AveragedNet(net, 0.9)
    assert average.net.backbone is net.backbone
    assert not {name for name in trained_names(net) if name.startswith("backbone.")}
    assert {"head.bn.running_var", "head.conv_seg.bias"} <= trained_names(net)


def test_an_average_of_a_trained_backbone_has_its_own(net):
    average = AveragedNet(net, 0.5)
    assert average.net.backbone is not net.backbone
    assert trained_names(net) == set(net.state_dict())
