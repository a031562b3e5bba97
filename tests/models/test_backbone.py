"""A frozen backbone stays what it is, whatever its parent does."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from seg.errors import ShapeError, SpecMismatch
from seg.models.backbone import Backbone
from seg.models.heads import BNHead


@pytest.fixture
def backbone(tiny):
    return Backbone(tiny().train(), name="tiny", source="golden")


def test_it_returns_the_last_four_maps_one_behind_the_other(backbone, arrays):
    golden = arrays("vit_tiny14_io")
    maps = backbone(golden["56x98.input"])
    expected = torch.cat(list(golden["56x98.gil_8_9_10_11.maps"]), dim=1)
    assert_close(maps, expected, atol=5e-5, rtol=1e-5)
    assert maps.shape == (2, backbone.channels, 4, 7)
    assert (backbone.layers, backbone.channels) == ((8, 9, 10, 11), 192)
    assert (backbone.name, backbone.source, backbone.patch_size) == ("tiny", "golden", 14)


def test_it_reads_the_layers_asked_for(tiny, arrays):
    golden = arrays("vit_tiny14_io")
    one = Backbone(tiny(), [9], name="tiny", source="golden")
    maps = one(golden["70x70.input"])
    assert_close(maps, golden["70x70.gil_8_9_10_11.maps"][1], atol=5e-5, rtol=1e-5)
    assert one.channels == 48


def test_a_training_step_of_the_parent_leaves_every_bit_as_it_was(backbone):
    net = nn.Sequential(backbone, BNHead(backbone.channels, 2))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.1)
    net(torch.randn(2, 3, 28, 42)).square().mean().backward()
    optimiser.step()
    for key, value in net.state_dict().items():
        changed = not torch.equal(value, before[key])
        assert changed is key.startswith("1."), key


def test_it_is_in_eval_mode_and_stays_so_when_the_parent_trains(backbone):
    assert not any(module.training for module in backbone.modules())
    net = nn.Sequential(backbone, BNHead(backbone.channels, 2)).train()
    assert net[1].training
    assert not any(module.training for module in backbone.modules())


def test_it_records_no_gradients_even_when_someone_unfreezes_the_parent(backbone):
    assert not any(p.requires_grad for p in backbone.parameters())
    net = nn.Sequential(backbone).requires_grad_(True)
    assert not net(torch.zeros(1, 3, 28, 28)).requires_grad


def test_faults_are_reported_early(tiny, backbone):
    with pytest.raises(SpecMismatch, match="blocks 0 to 11"):
        Backbone(tiny(), [12], name="tiny", source="golden")
    with pytest.raises(ShapeError, match="nearest is 644x644"):
        backbone(torch.zeros(1, 3, 640, 640))
