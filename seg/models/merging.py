"""MergingHead: some of a head's classes, the others merged into the background."""

import torch
from torch import Tensor

from seg.models.heads import BNHead


class MergingHead(BNHead):
    """Scores many classes and returns a few: the background is the best of all the others.

    A class wins in the result where it wins among all classes, on the network's own grid and to
    the bit. Between the cells' centres scores are interpolated, and the best of several classes is
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
