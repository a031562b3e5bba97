"""Networks that embed images: normalization and a backbone, without any head."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.backbones.base import Backbone, Tokens
from seg.models.base import BackboneNet, Normalize


class FeatureNet(BackboneNet):
    """Normalization and a backbone; several layers of it are put side by side.

    Args:
        backbone: Its layers have maps of one size.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.
    """

    def __init__(
        self,
        backbone: Backbone,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        super().__init__()
        self.normalise = Normalize(mean, std)
        self.backbone = backbone

    def from_tokens(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Returns `cls` `(B, D)` and `patches` `(B, D, h, w)`."""
        return torch.cat(tokens.cls, dim=1), torch.cat(tokens.maps, dim=1)


class PooledFeatureNet(FeatureNet):
    """As `FeatureNet`, for a backbone with maps at several strides: all are put on one grid.

    Finer maps are averaged and coarser ones repeated, so `cls`, the mean of all places, is the
    mean of each map. The shallow maps are there because neighbors tell images apart better with
    them (docs/features.md).

    Args:
        backbone: As of `FeatureNet`, with maps of any sizes.
        mean: As of `FeatureNet`.
        std: As of `FeatureNet`.
        strides: Pixels for each side of a cell, of each map.
    """

    grid_stride = 16  # about DINOv2's patches

    def __init__(
        self,
        backbone: Backbone,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        strides: Sequence[int],
    ) -> None:
        super().__init__(backbone, mean, std)
        self.strides = tuple(strides)

    def from_tokens(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """As of `FeatureNet`; `patches` has a cell for each 16 pixels."""
        pairs = zip(tokens.maps, self.strides, strict=True)
        patches = torch.cat([self._on_grid(*pair) for pair in pairs], dim=1)
        return torch.cat(tokens.cls, dim=1), patches

    def _on_grid(self, features: Tensor, stride: int) -> Tensor:
        if stride > self.grid_stride:
            return F.interpolate(features, scale_factor=stride // self.grid_stride, mode="nearest")
        return F.avg_pool2d(features, self.grid_stride // stride)
