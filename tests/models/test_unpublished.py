"""Backbones without published weights: built as the others, never downloaded."""

import pytest

from seg.errors import ArtifactError
from seg.models.official_weights import load_backbone


def test_a_backbone_that_nobody_publishes_says_so():
    with pytest.raises(ArtifactError, match="Nobody publishes dinov2_vitt14_pretrain"):
        load_backbone("dinov2_vitt14")


def test_the_small_backbone_has_192_channels():
    assert load_backbone("dinov2_vitt14", "random").channels == (192,) * 4
