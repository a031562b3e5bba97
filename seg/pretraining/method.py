"""The loss of a batch: DINO on class tokens, iBOT on masked patches, KoLeo on features."""

import torch
from torch import Tensor, nn

from seg.pretraining.losses.centering import build_centering
from seg.pretraining.losses.dino import dino_loss
from seg.pretraining.losses.ibot import ibot_loss
from seg.pretraining.losses.koleo import koleo_loss
from seg.pretraining.method_args import MethodArgs
from seg.pretraining.student_teacher import Outputs


class Method(nn.Module):
    """Weighs the parts of the loss as the original's training does; holds the teacher's centers.

    Args:
        args: Weights and temperatures.
    """

    def __init__(self, args: MethodArgs) -> None:
        super().__init__()
        self.args = args
        size, momentum = args.output_dim, args.center_momentum
        self.dino_centering = build_centering(args.center_method, size, momentum)
        self.ibot_centering = build_centering(args.center_method, size, momentum)

    def move(self) -> None:
        """Ends an optimizer step."""
        self.dino_centering.move()
        self.ibot_centering.move()

    def forward(
        self,
        student: Outputs,
        teacher: Outputs,
        masks: Tensor,
        temperature: float,
        watches: bool = True,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Computes the weighted parts of the loss of a batch.

        Args:
            student: Of all crops, masked.
            teacher: Of the global crops, not masked.
            masks: bool `(2 B, N)`.
            temperature: The teacher's.
            watches: Whether the second result is wanted; it is empty where it is not.

        Returns:
            The parts by name, to be added, and what is worth watching.
        """
        args, two_batches = self.args, len(student.cls)
        probs = self.dino_centering(teacher.global_logits, temperature)
        patch_probs = self.ibot_centering(teacher.patch_logits, temperature)
        num_local = len(student.local_logits) // (two_batches // 2)
        terms = 2 + 2 * num_local
        swapped = probs.roll(two_batches // 2, dims=0)  # each view learns from the other one
        across = dino_loss(student.global_logits[None], swapped[None], args.student_temp)
        loss = across * 2 / terms
        if num_local:
            local = student.local_logits.view(num_local, two_batches // 2, -1)
            loss = (
                loss
                + dino_loss(local, probs.view(2, two_batches // 2, -1), args.student_temp) / terms
            )
        patches = ibot_loss(student.patch_logits, patch_probs, masks, args.student_temp)
        parts = {"dino": args.dino_loss_weight * loss, "ibot": args.ibot_loss_weight * patches}
        if args.koleo_loss_weight:
            first, second = student.cls.chunk(2)
            spread = koleo_loss(first) + koleo_loss(second)
            parts["koleo"] = args.koleo_loss_weight * spread
        return parts, _watch(student.cls, probs, across) if watches else {}


@torch.no_grad()
def _watch(cls: Tensor, probs: Tensor, across: Tensor) -> dict[str, Tensor]:
    """Returns what shows a collapse.

    The entropy of the teacher's probabilities, the divergence of the student's from them, the
    deviation of unit features (1 where they are spread evenly, 0 where all are the same), and how
    many directions they use: the exponential of the singular values' entropy (Garrido et al.,
    2023).
    """
    entropy = torch.special.entr(probs).sum(-1).mean()
    unit = nn.functional.normalize(cls.float(), dim=-1)
    std = (unit - unit.mean(0)).square().sum(-1).mean().sqrt()
    values = torch.linalg.svdvals(unit - unit.mean(0))
    shares = values / values.sum().clamp(min=1e-12)
    rank = torch.special.entr(shares).sum().exp()
    return {
        "teacher_entropy": entropy,
        "kl": across - entropy,
        "feature_std": std,
        "feature_rank": rank,
    }
