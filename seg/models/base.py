"""What every network is: images RGB 0..1 in, the outputs of its spec out, normalization inside."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seg._version import __version__
from seg.models.backbones.base import Backbone, Tokens


class Net(nn.Module):
    """A network that can be trained, run and exported."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Computes the outputs of its spec, in their order; a tensor alone where there is one.

        Args:
            images: float32 `(B, 3, H, W)` RGB, 0..1; the stride divides both sides.
        """


class BackboneNet(Net):
    """A network whose outputs are computed from the tokens of a backbone."""

    normalise: "Normalize"
    backbone: Backbone

    @abstractmethod
    def from_tokens(self, tokens: Tokens) -> Tensor | tuple[Tensor, ...]:
        """Computes the outputs from what the backbone returns for its layers."""

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """As of `Net`."""
        return self.from_tokens(self.backbone(self.normalise(images)))


class Normalize(nn.Module):
    """Subtracts the mean and divides by the standard deviation; part of every exported network.

    Nets hold it as `normalise`: the name is part of the state-dict keys of existing files.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` RGB 0..1 -> the same shape, about zero mean and unit variance."""
        return (images - self.mean) / self.std


def count_parameters(part: nn.Module) -> tuple[int, int]:
    """Returns the numbers of frozen and of trainable parameters."""
    sizes = [(p.numel(), p.requires_grad) for p in part.parameters()]
    return sum(n for n, grad in sizes if not grad), sum(n for n, grad in sizes if grad)


def made_with() -> str:
    """Returns the versions that a spec's `made_with` names."""
    return f"dinoseg {__version__}, torch {torch.__version__}"
