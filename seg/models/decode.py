"""From scores to labels in torch: the twin of `seg.predictors.decode`, for graphs and GPUs."""

from collections.abc import Callable

import torch
from torch import Tensor


def decode(logits: Tensor, enlarge: Callable[[Tensor], Tensor], *, at_once: bool) -> Tensor:
    """Enlarges score maps and takes the likeliest class of each pixel; ties go to the lower label.

    Two classes need one map, their difference.

    Args:
        logits: float `(B, C, h, w)`, C at least 2.
        enlarge: Resizes maps, `(B, K, h, w)` -> `(B, K, H, W)`, linearly.
        at_once: Whether all maps are enlarged together, as suits a graph, or one after the other,
            which holds two of them in memory.

    Returns:
        uint8 `(B, H, W)`, 0 to C - 1.
    """
    if logits.shape[1] == 2:
        return (enlarge(logits[:, 1:] - logits[:, :1])[:, 0] > 0).to(torch.uint8)
    if at_once:
        return enlarge(logits).argmax(1).to(torch.uint8)
    best = enlarge(logits[:, :1])[:, 0]
    labels = torch.zeros_like(best, dtype=torch.uint8)
    for label in range(1, logits.shape[1]):
        scores = enlarge(logits[:, label : label + 1])[:, 0]
        labels[scores > best] = label
        torch.maximum(best, scores, out=best)
    return labels
