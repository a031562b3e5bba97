"""The head against the original's values."""

import pytest
import torch
from torch.testing import assert_close

from seg.models.heads import BNHead

HEAD = {"atol": 1e-4, "rtol": 1e-5}


def golden_head(values, case):
    prefix = f"{case}.state.decode_head."
    state = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    classes, channels = state["conv_seg.weight"].shape[:2]
    head = BNHead(channels, classes)
    head.load_state_dict(state, strict=True)
    maps = [values[f"{case}.input_{i}"] for i in range(4) if f"{case}.input_{i}" in values]
    return head, torch.cat(maps, dim=1)


@pytest.mark.parametrize("case", ["ms4", "linear1"])
@torch.no_grad()
def test_logits_are_those_of_the_original(arrays, case):
    values = arrays("bn_head")
    head, maps = golden_head(values, case)
    assert_close(maps, values[f"{case}.concat"], **HEAD)
    assert_close(head.eval()(maps), values[f"{case}.logits"], **HEAD)


@torch.no_grad()
def test_training_statistics_are_those_of_the_original(arrays):
    values = arrays("bn_head")
    head, maps = golden_head(values, "ms4")
    assert_close(head.train()(maps), values["ms4.train.logits"], **HEAD)
    assert_close(head.bn.running_mean, values["ms4.train.running_mean"], **HEAD)
    assert_close(head.bn.running_var, values["ms4.train.running_var"], **HEAD)


def test_the_head_of_the_tutorial_has_6_146_parameters():
    assert sum(p.numel() for p in BNHead(1536, 2).parameters()) == 6_146


def test_a_new_head_starts_small_and_unbiased():
    torch.manual_seed(0)
    head = BNHead(1536, 8)
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.conv_seg.bias.abs().max() == 0


def test_training_on_frozen_maps_has_the_gradients_of_norm_and_convolution_apart():
    torch.manual_seed(0)
    head = BNHead(48, 3).train()
    head.bn.weight.data.uniform_(0.5, 2)
    head.bn.bias.data.normal_()
    maps = torch.randn(2, 48, 5, 4) * 3 + torch.arange(48.0).view(1, 48, 1, 1)
    target = torch.randn(2, 3, 5, 4)

    def trained(logits):
        head.zero_grad()
        ((logits - target) ** 2).mean().backward()
        return [logits.detach(), *(p.grad.clone() for p in head.parameters())]

    for one, other in zip(trained(head(maps)), trained(head.conv_seg(head.bn(maps))), strict=True):
        assert_close(one, other, atol=2e-5, rtol=1e-4)
    assert head.bn.num_batches_tracked == 2
