"""Crops of several sizes through one pass of a vision transformer, with stochastic depth.

All but the attention works on single tokens, so the tokens of all crops go through it in one
product; attention is computed for each size. Stochastic depth (Huang et al., 2016) leaves images
out of a block by not computing it for them, as the original does.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.backbones.blocks import Block
from seg.models.backbones.vit import DinoVisionTransformer

Tokens = list[Tensor]  # (B, T, D) for each size


def forward_groups(
    vit: DinoVisionTransformer, groups: Sequence[tuple[Tensor, Tensor | None]], drop_rate: float
) -> Tokens:
    """Computes the tokens of groups of crops after the last block and the final norm.

    Args:
        vit: The network.
        groups: Images `(B, 3, H, W)`, normalized, and their masks `(B, N)` or None.
        drop_rate: Share of the images that each of a block's two branches leaves out.

    Returns:
        `(B, 1 + R + N, D)` of each group.
    """
    tokens = [vit.embed(images, masks) for images, masks in groups]
    for block in vit.blocks:
        tokens = _add_branch(tokens, lambda some, b=block: _attention(b, some), drop_rate)  # type: ignore[misc]
        tokens = _add_branch(tokens, lambda some, b=block: _feed_forward(b, some), drop_rate)  # type: ignore[misc]
    return [vit.norm(part) for part in tokens]


def _add_branch(tokens: Tokens, branch: Callable[[Tokens], Tokens], drop_rate: float) -> Tokens:
    if not drop_rate:
        pairs = zip(tokens, branch(tokens), strict=True)
        return [part + residual for part, residual in pairs]
    counts = [max(1, int(len(part) * (1 - drop_rate))) for part in tokens]
    chosen = [
        torch.randperm(len(part), device=part.device)[:count]
        for part, count in zip(tokens, counts, strict=True)
    ]
    residuals = branch([part[rows] for part, rows in zip(tokens, chosen, strict=True)])
    return [
        part.index_add(0, rows, residual.to(part.dtype), alpha=len(part) / len(rows))
        for part, rows, residual in zip(tokens, chosen, residuals, strict=True)
    ]


def _attention(block: Block, tokens: Tokens) -> Tokens:
    attention = block.attn
    qkv = attention.qkv(block.norm1(_flat(tokens)))
    mixed = []
    for part in _split(qkv, tokens):
        batch, length, _ = part.shape
        heads = part.view(batch, length, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)
        attended = F.scaled_dot_product_attention(query, key, value)
        mixed.append(attended.transpose(1, 2).flatten(2))  # (B, heads, T, d) -> (B, T, D)
    return _split(block.ls1(attention.proj(_flat(mixed))), tokens)


def _feed_forward(block: Block, tokens: Tokens) -> Tokens:
    return _split(block.ls2(block.mlp(block.norm2(_flat(tokens)))), tokens)


def _flat(tokens: Tokens) -> Tensor:
    """Puts the tokens of all crops below each other, `(sum of B T, D)`."""
    return torch.cat([part.flatten(0, 1) for part in tokens])


def _split(rows: Tensor, like: Tokens) -> Tokens:
    """Undoes `_flat`; the width may be another one."""
    sizes = [part.shape[0] * part.shape[1] for part in like]
    pairs = zip(torch.split(rows, sizes), like, strict=True)
    return [part.view(*other.shape[:2], -1) for part, other in pairs]
