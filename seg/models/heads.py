"""Heads: what is trained on top of a frozen backbone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        if self.training and not maps.requires_grad:
            return self._folded(maps)
        logits: Tensor = self.conv_seg(self.bn(maps))
        return logits

    def _folded(self, maps: Tensor) -> Tensor:
        """Trains on maps that need no gradient: norm and convolution as one product.

        The batch's mean and variance go into the weights in place of the maps, which are then read
        twice instead of ten times and never written: a quarter of the time, the same logits.
        """
        bn, conv = self.bn, self.conv_seg
        with torch.autocast(maps.device.type, enabled=False):
            maps = maps.detach().float()
            mean, var = torch.batch_norm_update_stats(
                maps, bn.running_mean, bn.running_var, bn.momentum or 0.0
            )
            if bn.num_batches_tracked is not None:
                bn.num_batches_tracked.add_(1)
            scale = bn.weight * (var + bn.eps).rsqrt()
            weight = conv.weight[:, :, 0, 0]
            bias = weight @ (bn.bias - scale * mean)
            if conv.bias is not None:
                bias = bias + conv.bias
            return F.conv2d(maps, (weight * scale)[:, :, None, None], bias)


class BackgroundMergeHead(BNHead):
    """Scores many classes and returns a few: the background is the best of all the others.

    A class wins in the result where it wins among all classes, on the network's own grid and to
    the bit. Between the cells' centers scores are interpolated, and the best of several classes is
    not linear, so there edges may differ by a fraction of a cell.

    Args:
        in_channels: Channels of the backbone's maps.
        num_classes: Classes of the result, background included; their scores come first.
        num_merged: Classes behind them that count as background, at least one.
    """

    def __init__(self, in_channels: int, num_classes: int, num_merged: int) -> None:
        super().__init__(in_channels, num_classes - 1 + num_merged)
        self.num_kept = num_classes - 1

    def forward(self, maps: Tensor) -> Tensor:
        """Turns maps `(B, in_channels, h, w)` into logits `(B, num_classes, h, w)`."""
        logits = super().forward(maps)
        background = logits[:, self.num_kept :].amax(1, keepdim=True)
        return torch.cat([background, logits[:, : self.num_kept]], dim=1)
