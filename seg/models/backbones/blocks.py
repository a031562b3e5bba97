"""The layers of DINOv2's ViT; attribute names are the official keys.

Shape letters are those of `seg.models.backbones.vit`; T is all tokens of an image, 1 + R + N.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 14
FeedForward = Literal["mlp", "swiglu"]


class PatchEmbed(nn.Module):
    """Cuts images into patches of 14 pixels: `(B, 3, H, W)` -> `(B, N, D)`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        """Returns one token for each patch, row by row."""
        patches: Tensor = self.proj(images)
        return patches.flatten(2).transpose(1, 2)  # (B, D, h, w) -> (B, N, D)


class Block(nn.Module):
    """Attention and a feed-forward network, each normed before, scaled after and added."""

    def __init__(self, width: int, num_heads: int, ffn: FeedForward) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, num_heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = SwiGLU(width) if ffn == "swiglu" else Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns new tokens of the same shape, `(B, T, D)`."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        summed: Tensor = tokens + self.ls2(self.mlp(self.norm2(tokens)))
        return summed


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns new tokens of the same shape."""
        qkv = self.qkv(tokens).unflatten(2, (3, self.num_heads, -1))  # (B, T, 3, heads, D / heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # Never written out by hand: that is twice as slow on a CPU.
        mixed = F.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return projected


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns scaled tokens."""
        return tokens * self.gamma


class Mlp(nn.Module):
    """Two linear layers, four times as wide between, with the exact GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns new tokens of the same shape."""
        narrowed: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return narrowed


class SwiGLU(nn.Module):
    """The giant model's gated feed-forward network; two thirds of the Mlp's width, in eights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns new tokens of the same shape."""
        gate, value = self.w12(tokens).chunk(2, dim=-1)
        narrowed: Tensor = self.w3(F.silu(gate) * value)
        return narrowed
