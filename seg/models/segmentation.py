"""Networks that score each pixel, and the simplest of them: a linear head on a backbone."""

from abc import abstractmethod

import torch
from torch import Tensor

from seg.models.backbones.base import Backbone, Tokens
from seg.models.base import BackboneNet, Net, Normalize
from seg.models.heads import BackgroundMergeHead, BNHead


class SegmentationNet(Net):
    """A network that scores each pixel, coarser than the image by some factor."""

    @abstractmethod
    def training_logits(self, images: Tensor) -> list[Tensor]:
        """Returns the logits, then those of auxiliary heads, each `(B, C, h, w)`.

        Args:
            images: float32 `(B, 3, H, W)` RGB, 0..1; the stride divides both sides.
        """

    def forward(self, images: Tensor) -> Tensor:
        """Segments images: `(B, 3, H, W)` RGB 0..1 -> logits `(B, C, h, w)`."""
        return self.training_logits(images)[0]


class LinearSegmentationNet(SegmentationNet, BackboneNet):
    """Normalization, a backbone, and a batch norm with one 1x1 convolution as the head.

    Args:
        backbone: Its maps are concatenated, so they are of one size.
        num_classes: Maps of the output, the background included.
        mean: Channel means, RGB 0..1.
        std: Channel standard deviations, RGB 0..1.
        num_merged: Classes beyond those that the head scores and counts as background.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        num_merged: int = 0,
    ) -> None:
        super().__init__()
        self.normalise = Normalize(mean, std)
        self.backbone = backbone
        channels = sum(backbone.channels)
        self.head = (
            BackgroundMergeHead(channels, num_classes, num_merged)
            if num_merged
            else BNHead(channels, num_classes)
        )

    def training_logits(self, images: Tensor) -> list[Tensor]:
        """Returns the logits alone, `(B, C, h, w)`: there is no auxiliary head."""
        return [self.head(self.features(images))]

    def features(self, images: Tensor) -> Tensor:
        """Returns what the head reads, `(B, channels, h, w)`."""
        return torch.cat(self.backbone(self.normalise(images)).maps, dim=1)

    def from_tokens(self, tokens: Tokens) -> Tensor:
        """Computes the logits from the maps, `(B, C, h, w)`."""
        return self.head(torch.cat(tokens.maps, dim=1))  # type: ignore[no-any-return]
