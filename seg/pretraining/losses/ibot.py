"""iBOT (Zhou et al., 2022): the student predicts what the teacher sees in masked patches."""

import torch
from torch import Tensor


def ibot_loss(
    student_logits: Tensor, teacher_probs: Tensor, masks: Tensor, student_temp: float
) -> Tensor:
    """Averages the cross-entropies of each crop's masked patches, then over the crops.

    Args:
        student_logits: `(M, K)`, of all masked patches, crop by crop and row by row.
        teacher_probs: `(M, K)`, of the same patches; each row adds up to 1.
        masks: bool `(B, N)` with M true entries; crops without any count as 0.
        student_temp: Divides the student's logits.

    Returns:
        A float32 scalar.
    """
    scaled = student_logits.float() / student_temp
    entropies = torch.logsumexp(scaled, dim=-1) - (scaled * teacher_probs.float()).sum(-1)
    weights = (1 / masks.sum(1).clamp(min=1)).repeat_interleave(masks.sum(1))
    return (entropies * weights).sum() / len(masks)
