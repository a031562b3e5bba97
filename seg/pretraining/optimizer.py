"""The optimizer: parameter groups with their factors, and a step's values."""

from typing import Any

import torch
from torch import nn

from seg.pretraining.method_args import MethodArgs
from seg.pretraining.schedules import StepValues
from seg.pretraining.student_teacher import Branch

# What is added or only scales does not decay.
NO_DECAY = ("bias", "gamma")


def build_optimizer(student: Branch, args: MethodArgs) -> torch.optim.AdamW:
    """Builds AdamW over groups of one factor, one rate and one decay each."""
    backbone = student.backbone
    groups: dict[tuple[float, str, bool], list[nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        part, _, inner = name.partition(".")
        scale, rate = 1.0, "lr"
        if part == "backbone":
            place = backbone.block_of(inner)
            scale, rate = args.layerwise_decay ** (backbone.num_blocks + 1 - place), "backbone_lr"
            scale *= args.patch_embed_lr_multiplier if "patch_embed" in inner else 1.0
        elif "last_layer" in inner:
            rate = "last_layer_lr"
        has_decay = not (name.endswith(NO_DECAY) or "norm" in name)
        key = (scale, rate, has_decay)
        groups.setdefault(key, []).append(parameter)
    made: list[dict[str, Any]] = [
        {"params": found, "lr_scale": scale, "rate": rate, "has_decay": has_decay}
        for (scale, rate, has_decay), found in groups.items()
    ]
    return torch.optim.AdamW(made, lr=0.0, betas=(0.9, 0.999), fused=True)


def set_values(optimizer: torch.optim.Optimizer, values: StepValues) -> None:
    """Gives each group its learning rate and its weight decay of a step."""
    for group in optimizer.param_groups:
        group["lr"] = getattr(values, group["rate"]) * group["lr_scale"]
        group["weight_decay"] = values.weight_decay * group["has_decay"]


def clip_gradients(student: Branch, largest: float) -> float:
    """Clips the gradients of the backbone and of each head to a norm; returns the backbone's."""
    norms = [nn.utils.clip_grad_norm_(part.parameters(), largest) for part in student.children()]
    return float(norms[0])
