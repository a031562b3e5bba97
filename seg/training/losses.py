"""Losses over `(B, C, H, W)` logits and `(B, H, W)` labels; `IGNORE` counts nowhere.

Two classes need one map, `(B, 1, H, W)`: the margin of class 1 over class 0. The losses take
either form and say the same; on a CPU the margin takes half the time.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.data.samples import IGNORE
from seg.training.tasks.segmentation_config import LossWeights

# A teacher's log-probabilities as bytes, 0 to -12.7 in steps of 0.05; 255 is unknown.
SOFT_STEP = 0.05


PLAIN = LossWeights()


def cross_entropy(logits: Tensor, labels: Tensor, classes: tuple[float, ...] = ()) -> Tensor:
    """Mean cross-entropy over the pixels that have a label; 0 where none has.

    With weights for classes it is the weighted mean: the sum of a pixel's loss times the weight of
    its label, divided by the sum of these weights, as torch has it.
    """
    known = labels != IGNORE
    weight = logits.new_tensor(classes)
    if logits.shape[1] == 1:
        truth = (labels == 1).float()
        counts = known.float() if not classes else known * weight[(labels == 1).long()]
        total = F.binary_cross_entropy_with_logits(logits[:, 0], truth, counts, reduction="sum")
    else:
        total = F.cross_entropy(
            logits, labels, weight if classes else None, ignore_index=IGNORE, reduction="sum"
        )
        counts = weight[labels[known]] if classes else known
    return total / counts.sum().clamp(min=torch.finfo(torch.float32).tiny)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft Dice of the foreground classes, over the whole batch.

    Milletari et al., 2016. A class that the batch does not hold counts through its false area.
    """
    known = labels != IGNORE
    scores = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)[:, 1:]
    parts = []
    # Class by class: a one-hot copy of the labels takes five times as long on a CPU.
    for label, score in enumerate(scores.unbind(1), 1):
        target = (labels == label).float()
        either = (score * known).sum() + target.sum()
        parts.append(1 - (2 * (score * target).sum() + 1) / (either + 1))
    return torch.stack(parts).mean()


def lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    """The Lovász-Softmax loss: a convex stand-in for one minus the IoU.

    Berman, Triki, Blaschko, 2018, algorithm 1, over the pixels of the whole batch together. The
    mean is taken over the classes that the labels hold, the background too; 0 where none has a
    label. Where every score is 0 or 1 it is one minus the mean IoU of these classes.
    """
    known = labels != IGNORE
    both = torch.cat([-logits, logits], 1).sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
    scores, truth = both.permute(0, 2, 3, 1)[known], labels[known]  # (P, C), (P,)
    parts = []
    for label in range(scores.shape[1]):
        is_label = (truth == label).float()
        if not is_label.any():
            continue
        errors, order = (is_label - scores[:, label]).abs().sort(descending=True)
        hits = is_label[order]
        either = hits.sum() + (1 - hits).cumsum(0)
        jaccard = 1 - (hits.sum() - hits.cumsum(0)) / either
        parts.append((errors * jaccard.diff(prepend=jaccard.new_zeros(1))).sum())
    return torch.stack(parts).mean() if parts else scores.sum()


def segmentation_loss(
    outputs: list[Tensor], labels: Tensor, weights: LossWeights = PLAIN
) -> Tensor:
    """Returns the sum of `segmentation_losses`."""
    parts = segmentation_losses(outputs, labels, weights)
    return functools.reduce(torch.add, parts.values())


def segmentation_losses(
    outputs: list[Tensor], labels: Tensor, weights: LossWeights = PLAIN
) -> dict[str, Tensor]:
    """Computes each loss, weighted, with each head's logits enlarged to the labels' size.

    Args:
        outputs: The network's logits, then those of auxiliary heads.
        labels: int64 `(B, H, W)`.
        weights: How much of each; those without weight are left out.

    Returns:
        The losses of the logits by name, and as `aux` those of all auxiliary heads.
    """
    parts: dict[str, Tensor] = {}
    for index, output in enumerate(outputs):
        # A coarse auxiliary head learns as much from every fourth label, at a sixteenth the cost.
        target = labels[:, ::4, ::4] if index else labels
        logits = F.interpolate(margin(output.float()), target.shape[1:], mode="bilinear")
        losses = _weighted(logits, target, weights)
        if not index:
            parts = losses
        elif losses:
            part = weights.aux * functools.reduce(torch.add, losses.values())
            parts["aux"] = parts["aux"] + part if "aux" in parts else part
    return parts


def margin(logits: Tensor) -> Tensor:
    """Returns the one map that two classes need, `(B, 1, H, W)`; leaves more classes alone."""
    return logits[:, 1:] - logits[:, :1] if logits.shape[1] == 2 else logits


def distillation(
    logits: Tensor, soft_targets: Tensor, temperature: float, dice: float = 0.0
) -> Tensor:
    """How far a student is from a teacher: their divergence, each at a temperature, and Dice.

    Hinton, Vinyals, Dean, 2015: the Kullback-Leibler divergence times the temperature squared,
    here the mean over the student's cells. A cell's target is the mean of the teacher's
    probabilities over its pixels; a cell with an unknown pixel does not count. Dice, as for labels,
    is one minus the overlap of both probabilities of each foreground class, at temperature 1.

    Args:
        logits: The student's, `(B, C, h, w)`.
        soft_targets: The teacher's, uint8 `(B, C, H, W)`: log-probabilities in steps of -0.05, or
            255.
        temperature: Above 1 the unlikely classes count for more.
        dice: Weight of Dice.
    """
    grid, logits = (logits.shape[2], logits.shape[3]), logits.float()
    known = F.adaptive_avg_pool2d((soft_targets[:, :1] != IGNORE).float(), grid) == 1
    truth = F.adaptive_avg_pool2d((soft_targets * (-SOFT_STEP / temperature)).softmax(1), grid)
    guess = (logits / temperature).log_softmax(1)
    divergence = F.kl_div(guess, truth, reduction="none").sum(1, keepdim=True)
    loss = temperature**2 * (divergence * known).sum() / known.sum().clamp(min=1)
    if not dice:
        return loss
    truth = F.adaptive_avg_pool2d((soft_targets * -SOFT_STEP).softmax(1), grid)[:, 1:] * known
    score = logits.softmax(1)[:, 1:] * known
    either = (score + truth).sum((0, 2, 3))
    return loss + dice * (1 - (2 * (score * truth).sum((0, 2, 3)) + 1) / (either + 1)).mean()


def _weighted(logits: Tensor, labels: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    losses = {}
    if weights.ce:
        losses["ce"] = weights.ce * cross_entropy(logits, labels, weights.class_weights)
    if weights.dice:
        losses["dice"] = weights.dice * dice(logits, labels)
    if weights.lovasz:
        # It sorts the pixels; every fourth along both sides says as much at a sixteenth the cost.
        part = lovasz(logits[:, :, ::4, ::4], labels[:, ::4, ::4])
        losses["lovasz"] = weights.lovasz * part
    return losses
