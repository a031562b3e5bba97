"""What is trained and what is not, how it is optimized, and the average of what was trained."""

import copy
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn

from seg.models.backbones.base import Backbone
from seg.models.base import Net


def freeze(part: nn.Module) -> None:
    """Takes a part of a network out of training; `train_mode` keeps it in eval mode, too."""
    part.requires_grad_(False).eval()


def train_mode(net: nn.Module) -> None:
    """Puts a network into training mode, except for the parts that are frozen."""
    if _is_frozen(net):
        net.eval()
        return
    net.training = True
    for child in net.children():
        train_mode(child)


def trained_names(net: nn.Module) -> set[str]:
    """Returns the names of the parameters and buffers outside the frozen parts."""
    frozen = {
        f"{prefix}.{name}" for prefix, part in _frozen_parts(net) for name in part.state_dict()
    }
    return set(net.state_dict()) - frozen


def parameter_groups(
    net: nn.Module, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Returns an optimizer's parameter groups; norms, biases and frozen parts have no decay.

    Decay pulls the scale of a norm and an offset towards 0, which regularizes nothing: only what
    is multiplied with, of two dimensions and more, decays (He et al., 2019, section 3.1).

    Args:
        net: The network.
        weight_decay: Of what decays.
        layer_decay: Factor of the learning rate from each block of a backbone to the one before it
            (Clark et al., 2020); a group has its product as `lr_scale`.
    """
    scales = _lr_scales(net, layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            place = scales.get(name, 1.0), parameter.ndim > 1
            groups.setdefault(place, []).append(parameter)
    return [
        {"params": found, "weight_decay": weight_decay * has_decay, "lr_scale": scale}
        for (scale, has_decay), found in sorted(groups.items(), key=lambda group: group[0])[::-1]
    ]


def _lr_scales(net: nn.Module, layer_decay: float) -> dict[str, float]:
    """Returns the factors of the learning rate of a network's backbones, by name."""
    return {
        f"{prefix}.{name}": layer_decay ** (part.num_blocks + 1 - part.block_of(name))
        for prefix, part in net.named_modules()
        if isinstance(part, Backbone)
        for name, _ in part.named_parameters()
    }


class AveragedNet:
    """The exponential moving average of a network's trained parts; frozen parts are shared.

    Args:
        net: The network in training; parameters and buffers outside its frozen parts are averaged.
        decay: Weight of the average in each update, 0..1.

    Attributes:
        net: The averaged network.
        num_updates: Number of updates so far; the first one copies.
    """

    def __init__(self, net: Net, decay: float) -> None:
        shared = {id(part): part for _, part in _frozen_parts(net)}
        self.net: Net = copy.deepcopy(net, cast(dict[int, Any], shared))
        self.num_updates, self._decay = 0, decay

    @torch.no_grad()
    def update(self, net: Net) -> None:
        """Moves the average towards the network that it was made of."""
        averaged, current = self.net.state_dict(), net.state_dict()
        pairs = [(averaged[name], current[name]) for name in sorted(trained_names(net))]
        moving = [pair for pair in pairs if self.num_updates and pair[0].is_floating_point()]
        if moving:
            averages, values = map(list, zip(*moving, strict=True))
            torch._foreach_lerp_(averages, values, 1 - self._decay)
        for average, value in pairs:  # counters, and all of it in the first update
            if not (self.num_updates and average.is_floating_point()):
                average.copy_(value)
        self.num_updates += 1


def _is_frozen(part: nn.Module) -> bool:
    trained = [parameter.requires_grad for parameter in part.parameters()]
    return bool(trained) and not any(trained)


def _frozen_parts(net: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yields the outermost frozen parts by name."""
    for name, child in net.named_children():
        place = f"{prefix}.{name}" if prefix else name
        if _is_frozen(child):
            yield place, child
        else:
            yield from _frozen_parts(child, place)
