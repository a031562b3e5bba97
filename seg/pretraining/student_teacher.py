"""The student and its teacher, the moving average of it: a backbone and its heads each."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seg.models.backbones.dinov2 import DinoBackbone
from seg.pretraining.crop_groups import forward_groups
from seg.pretraining.head import DinoHead
from seg.pretraining.method_args import MethodArgs


class Outputs(NamedTuple):
    """What a branch computes.

    Attributes:
        cls: `(2 B, D)`, class tokens of the global crops.
        global_logits: `(2 B, K)`, of these.
        local_logits: `(L B, K)`, of the local crops' class tokens; no rows where there are none.
        patch_logits: `(M, K)`, of the masked patches.
    """

    cls: Tensor
    global_logits: Tensor
    local_logits: Tensor
    patch_logits: Tensor


class Branch(nn.Module):
    """A backbone with its heads.

    Args:
        backbone: Is trained.
        args: Sizes of the heads.
    """

    def __init__(self, backbone: DinoBackbone, args: MethodArgs) -> None:
        super().__init__()
        self.backbone = backbone
        width, sizes = backbone.vit.config.embed_dim, (args.output_dim, args.hidden_dim)
        norm = args.batch_norm
        self.dino_head = DinoHead(width, *sizes, args.dino_bottleneck_dim, norm)
        if args.ibot_separate_head:
            self.ibot_head = DinoHead(width, *sizes, args.ibot_bottleneck_dim, norm)

    def forward(
        self,
        global_views: Tensor,
        local_views: Tensor | None,
        masks: Tensor,
        drop_rate: float = 0.0,
        is_student: bool = True,
    ) -> Outputs:
        """Computes logits of all crops and of the masked patches.

        Args:
            global_views: `(2 B, 3, H, W)`, normalized.
            local_views: `(L B, 3, h, w)`, normalized, or None.
            masks: bool `(2 B, N)`.
            drop_rate: As of `forward_groups`.
            is_student: Whether masked patches are hidden from the backbone.
        """
        groups: list[tuple[Tensor, Tensor | None]] = [(global_views, masks if is_student else None)]
        if local_views is not None:
            groups.append((local_views, None))
        tokens = forward_groups(self.backbone.vit, groups, drop_rate)
        first = 1 + self.backbone.vit.config.registers
        cls, patches = tokens[0][:, 0], tokens[0][:, first:][masks]
        local = tokens[1][:, 0] if local_views is not None else cls[:0]
        if hasattr(self, "ibot_head"):
            logits = self.dino_head(torch.cat((cls, local)))
            return Outputs(cls, logits[: len(cls)], logits[len(cls) :], self.ibot_head(patches))
        logits = self.dino_head(torch.cat((cls, local, patches)))
        parts = logits.split([len(cls), len(local), len(patches)])
        return Outputs(cls, *parts)


class Teacher:
    """The moving average of a student.

    Args:
        student: Is copied.

    Attributes:
        branch: The average.
    """

    def __init__(self, student: Branch) -> None:
        self.branch = copy.deepcopy(student).eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self, student: Branch, momentum: float) -> None:
        """Moves towards the student; called once in an optimizer step."""
        pairs = zip(self.branch.parameters(), student.parameters(), strict=True)
        averages, values = map(list, zip(*pairs, strict=True))
        torch._foreach_lerp_(averages, values, 1 - momentum)
        for own, other in zip(self.branch.buffers(), student.buffers(), strict=True):
            own.copy_(other)
