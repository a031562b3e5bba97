"""DINO: cross-entropy between the teacher's and the student's class tokens across crops."""

import torch
from torch import Tensor


def dino_loss(student_logits: Tensor, teacher_probs: Tensor, student_temp: float) -> Tensor:
    """Sums the cross-entropies of all pairs of a student's and a teacher's crop.

    With p the teacher's probabilities, `-p . log_softmax(s)` is `logsumexp(s) - p . s`, and the
    sum over pairs needs each crop once: no `(pairs, B, K)` tensor is formed.

    Args:
        student_logits: `(S, B, K)`, of S crops of B images.
        teacher_probs: `(T, B, K)`, of T crops of them; each row adds up to 1.
        student_temp: Divides the student's logits.

    Returns:
        The sum over the S T pairs of the mean over images; float32.
    """
    scaled = student_logits.float() / student_temp
    num_teachers, batch, _ = teacher_probs.shape
    matched = torch.einsum("sbk,tbk->", scaled, teacher_probs.float())
    return (num_teachers * torch.logsumexp(scaled, dim=-1).sum() - matched) / batch
