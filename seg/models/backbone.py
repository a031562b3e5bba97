"""Backbone: a frozen DINOv2, read at some of its blocks."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from seg.models.backbones.blocks import PATCH
from seg.models.backbones.vit import DinoVisionTransformer


class Backbone(nn.Module):
    """A ViT that never changes: no gradients, always in eval mode, whatever its parent does.

    Args:
        vit: The network. It is frozen in place.
        layers: Blocks to read, from 0; None takes the last four, as the official heads do.
        name: Official name, such as `dinov2_vits14`.
        source: Where the weights come from, with their hash.

    Attributes:
        name: As given.
        layers: As given, or the last four.
        channels: Channels of the output, `len(layers) * D`.
        source: As given.
        patch_size: Pixels for each side of a patch; it divides the sides of the input.

    Raises:
        SpecMismatch: The network has no such block.
    """

    def __init__(
        self,
        vit: DinoVisionTransformer,
        layers: Sequence[int] | None = None,
        *,
        name: str,
        source: str,
    ) -> None:
        super().__init__()
        depth = vit.config.depth
        self.layers = tuple(range(max(0, depth - 4), depth) if layers is None else layers)
        vit.check_layers(self.layers)
        self.vit = vit.requires_grad_(False)
        self.name, self.source = name, source
        self.channels = len(self.layers) * vit.config.embed_dim
        self.patch_size = PATCH
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode; `mode` is ignored."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Computes the features of some images, without gradients.

        Args:
            images: `(B, 3, H, W)` RGB, normalized by ImageNet's mean and standard deviation.

        Returns:
            `(B, channels, h, w)`: the maps of `layers` after the final norm, one behind the other.

        Raises:
            ShapeError: `images` has another shape, or sides that are no multiples of 14.
        """
        with torch.no_grad():
            return torch.cat(self.vit.get_intermediate_layers(images, self.layers), dim=1)
