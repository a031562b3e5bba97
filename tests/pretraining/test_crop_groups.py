"""Several crop sizes in one pass against one pass for each; stochastic depth by counting."""

import pytest
import torch
from torch.testing import assert_close

from seg.models.backbones.vit import DinoVisionTransformer, ViTConfig
from seg.pretraining.crop_groups import forward_groups


@pytest.fixture(params=[0, 4])
def vit(request):
    torch.manual_seed(0)
    made = DinoVisionTransformer(
        ViTConfig(embed_dim=24, depth=3, num_heads=3, registers=request.param, grid=5)
    )
    torch.nn.init.normal_(made.mask_token)
    return made


def test_groups_are_computed_as_each_alone(vit):
    large, small = torch.randn(2, 3, 70, 70), torch.randn(3, 3, 28, 42)
    masks = torch.rand(2, 25) < 0.4
    got = forward_groups(vit, [(large, masks), (small, None)], 0.0)
    for tokens, alone in zip(
        got, (vit.forward_features(large, masks), vit.forward_features(small)), strict=True
    ):
        assert_close(tokens[:, 0], alone.cls, atol=1e-5, rtol=1e-5)
        assert_close(tokens[:, 1 + vit.config.registers :], alone.patches, atol=1e-5, rtol=1e-5)


def test_stochastic_depth_leaves_out_its_share_and_scales_the_rest(vit):
    """With one block and no feed-forward, an image is left as it was or moved by B / count."""
    del vit.blocks[1:]
    torch.nn.init.zeros_(vit.blocks[0].ls2.gamma)
    vit.norm = torch.nn.Identity()
    images = torch.randn(8, 3, 70, 70)
    start, full = vit.embed(images), forward_groups(vit, [(images, None)], 0.0)[0]
    dropped = forward_groups(vit, [(images, None)], 0.25)[0]
    is_left = (dropped == start).flatten(1).all(1)
    assert is_left.sum() == 2
    assert_close((dropped - start)[~is_left], (full - start)[~is_left] * 8 / 6)
