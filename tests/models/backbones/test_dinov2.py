"""DINOv2 as a backbone: tokens of the blocks that are read."""

import pytest
import torch
from torch.testing import assert_close

from seg.errors import ShapeError, SpecMismatch
from seg.models.backbones.dinov2 import DinoBackbone


@pytest.fixture
def backbone(tiny):
    return DinoBackbone(tiny(), name="tiny", source="golden")


def test_it_returns_the_maps_of_the_last_four_blocks(backbone, arrays):
    golden = arrays("vit_tiny14_io")
    maps = torch.cat(backbone(golden["56x98.input"]).maps, dim=1)
    expected = torch.cat(list(golden["56x98.gil_8_9_10_11.maps"]), dim=1)
    assert_close(maps, expected, atol=5e-5, rtol=1e-5)
    assert maps.shape == (2, sum(backbone.channels), 4, 7)
    assert (backbone.layers, backbone.channels) == ((8, 9, 10, 11), (48, 48, 48, 48))
    assert (backbone.name, backbone.source, backbone.stride) == ("tiny", "golden", 14)


def test_it_returns_the_class_tokens_of_the_same_blocks(backbone, arrays):
    golden = arrays("vit_tiny14_io")
    tokens = backbone(golden["56x98.input"]).cls
    for found, expected in zip(tokens, golden["56x98.gil_n4.cls"], strict=True):
        assert_close(found, expected, atol=5e-5, rtol=1e-5)


def test_it_reads_the_layers_asked_for(tiny, arrays):
    golden = arrays("vit_tiny14_io")
    one = DinoBackbone(tiny(), [9], name="tiny", source="golden")
    (maps,) = one(golden["70x70.input"]).maps
    assert_close(maps, golden["70x70.gil_8_9_10_11.maps"][1], atol=5e-5, rtol=1e-5)
    assert one.channels == (48,)


def test_faults_are_reported_early(tiny, backbone):
    with pytest.raises(SpecMismatch, match="blocks 0 to 11"):
        DinoBackbone(tiny(), [12], name="tiny", source="golden")
    with pytest.raises(ShapeError, match="nearest is 644x644"):
        backbone(torch.zeros(1, 3, 640, 640))
