"""Heads: what is trained on top of a frozen backbone."""

from torch import Tensor, nn


class BNHead(nn.Module):
    """DINOv2's linear segmentation head: a batch norm and one 1x1 convolution.

    Keys and shapes are those of the official heads, less their prefix `decode_head.`. The norm
    matters: features of different blocks have different scales, and it lets one learning rate
    serve them all. For 4 x 384 channels and two classes it has 6,146 parameters.

    Args:
        in_channels: Channels of the backbone's maps.
        num_classes: Classes, background included.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(in_channels)
        self.conv_seg = nn.Conv2d(in_channels, num_classes, kernel_size=1)
        # As mmsegmentation starts its heads, which the official recipe uses.
        nn.init.normal_(self.conv_seg.weight, std=0.01)
        nn.init.zeros_(self.conv_seg.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        """Turns maps `(B, in_channels, h, w)` into logits `(B, num_classes, h, w)`."""
        logits: Tensor = self.conv_seg(self.bn(maps))
        return logits
