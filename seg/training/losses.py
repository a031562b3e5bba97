"""Losses over `(B, C, H, W)` logits and `(B, H, W)` labels; `IGNORE` counts nowhere."""

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.data.samples import IGNORE


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that have a label; 0 where none has."""
    total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft Dice of the foreground classes, over the whole batch.

    Milletari et al., 2016. A class that the batch does not hold counts through its false area.
    """
    known = labels != IGNORE
    scores = logits.softmax(1)
    parts = []
    # Class by class: a one-hot copy of the labels takes five times as long on a CPU.
    for label in range(1, logits.shape[1]):
        score, target = scores[:, label], (labels == label).float()
        either = (score * known).sum() + target.sum()
        parts.append(1 - (2 * (score * target).sum() + 1) / (either + 1))
    return torch.stack(parts).mean()


def segmentation_loss(
    outputs: list[Tensor], labels: Tensor, dice_weight: float = 0.0, aux_weight: float = 0.4
) -> Tensor:
    """Cross-entropy plus weighted Dice, each head's logits enlarged to the labels' size.

    Args:
        outputs: The network's logits, then those of auxiliary heads.
        labels: int64 `(B, H, W)`.
        dice_weight: Weight of the Dice part; 0 leaves it out.
        aux_weight: Weight of each auxiliary head.
    """
    loss = labels.new_zeros((), dtype=torch.float32)
    for index, output in enumerate(outputs):
        # A coarse auxiliary head learns as much from every fourth label, at a sixteenth the cost.
        target = labels[:, ::4, ::4] if index else labels
        logits = F.interpolate(output.float(), target.shape[1:], mode="bilinear")
        part = cross_entropy(logits, target)
        if dice_weight:
            part = part + dice_weight * dice(logits, target)
        loss = loss + (aux_weight * part if index else part)
    return loss
