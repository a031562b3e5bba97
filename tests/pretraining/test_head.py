"""The projection head against the original's outputs."""

import pytest
import torch
from torch.testing import assert_close

from seg.pretraining.head import DinoHead


@pytest.fixture
def head(arrays):
    values = arrays("dino_head")
    made = DinoHead(48, 64, 96, 16)
    made.load_state_dict(
        {k.removeprefix("state."): v for k, v in values.items() if k.startswith("state.")}
    )
    return made, values


@pytest.mark.parametrize("suffix", ["", "_3d"])
def test_the_head_computes_what_the_original_does(head, suffix):
    net, values = head
    assert_close(net(values[f"input{suffix}"]), values[f"output{suffix}"], atol=1e-5, rtol=1e-5)


def test_the_length_of_a_prototype_is_its_own_parameter(head):
    net, values = head
    with torch.no_grad():
        net.last_layer.weight_g.copy_(values["weight_g_alt"])
    assert_close(net(values["input"]), values["output_weight_g_alt"], atol=1e-5, rtol=1e-5)


def test_a_new_head_starts_with_prototypes_of_length_1():
    net = DinoHead(8, 16, 32, 4, batch_norm=True)
    assert (net.last_layer.weight_g == 1).all()
    assert sum(isinstance(part, torch.nn.BatchNorm1d) for part in net.mlp) == 2
    assert len({id(part) for part in net.mlp}) == 7
