"""The network that embeds images: normalization and a backbone, without any head."""

import torch
from torch import Tensor

from seg.models.backbones.base import Backbone
from seg.models.base import Net, Normalize


class FeatureNet(Net):
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

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, 3, H, W)` RGB 0..1 -> `cls` `(B, D)` and `patches` `(B, D, h, w)`."""
        tokens = self.backbone(self.normalise(images))
        return torch.cat(tokens.cls, dim=1), torch.cat(tokens.maps, dim=1)
