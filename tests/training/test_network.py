"""Networks to train: a seed decides what is not loaded, and nothing else does."""

import pytest
import torch

from seg.spec import segmentation_outputs
from seg.training.config import FrozenConfig, ModelConfig
from seg.training.network import make_net

OUTPUTS = segmentation_outputs(("background", "person"))


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_seed_decides_the_first_weights(tiny, is_frozen):
    config = FrozenConfig(arch="tiny", backbone="random") if is_frozen else ModelConfig(arch="lite")

    def weight(seed):
        net = make_net(config, OUTPUTS, seed)[0]
        return net.head.conv_seg.weight if is_frozen else net.head.weight

    first = weight(1)
    torch.rand(7)
    assert torch.equal(first, weight(1))
    assert not torch.equal(first, weight(2))
