"""How the teacher's logits become probabilities: a moving center, or Sinkhorn-Knopp."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from seg.pretraining.ranks import maximum, summed

SINKHORN_ROUNDS = 3


class Centering(nn.Module):
    """Turns logits into probabilities that do not collapse onto few prototypes."""

    @abstractmethod
    def forward(self, logits: Tensor, temperature: float) -> Tensor:
        """Returns float32 probabilities, `(n, K)` -> `(n, K)`, without a gradient."""

    @abstractmethod
    def move(self) -> None:
        """Ends an optimizer step: what its batches showed counts from the next step on."""


class SoftmaxCentering(Centering):
    """Subtracts a moving average of the logits before the softmax (Caron et al., 2021).

    Rows of all processes, and of all batches that make up an optimizer step, count alike.

    Args:
        num_prototypes: K.
        momentum: Weight of the old center in each step.
    """

    center: Tensor
    total: Tensor
    count: Tensor

    def __init__(self, num_prototypes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(1, num_prototypes))
        self.register_buffer("total", torch.zeros(1, num_prototypes), persistent=False)
        self.register_buffer("count", torch.zeros(1), persistent=False)

    @torch.no_grad()
    def forward(self, logits: Tensor, temperature: float) -> Tensor:
        """Returns probabilities, and counts the logits in."""
        values = logits.float()
        self.total += values.sum(dim=0, keepdim=True)
        self.count += len(values)
        return torch.softmax((values - self.center) / temperature, dim=-1)

    @torch.no_grad()
    def move(self) -> None:
        """Moves the center towards the mean of the logits since the last call."""
        total, count = summed(self.total), summed(self.count)
        if count > 0:
            self.center.lerp_(total / count, 1 - self.momentum)
        self.total.zero_()
        self.count.zero_()


class SinkhornKnopp(Centering):
    """Assigns the rows of a batch to prototypes that all get the same share (Cuturi, 2013).

    Args:
        rounds: How often prototypes and rows are normalized.
    """

    def __init__(self, rounds: int = SINKHORN_ROUNDS) -> None:
        super().__init__()
        self.rounds = rounds

    @torch.no_grad()
    def forward(self, logits: Tensor, temperature: float) -> Tensor:
        """Returns assignments over the rows of all processes."""
        scaled = logits.float() / temperature
        # A factor common to all entries cancels; without it the exponential overflows.
        largest = scaled.max() if len(scaled) else scaled.new_tensor(-torch.inf)
        shares = torch.exp(scaled - maximum(largest))
        num_rows, num_prototypes = summed(scaled.new_tensor(float(len(scaled)))), scaled.shape[1]
        shares /= summed(shares.sum())
        for _ in range(self.rounds):
            shares /= summed(shares.sum(dim=0, keepdim=True)) * num_prototypes
            shares /= shares.sum(dim=1, keepdim=True) * num_rows
        return shares * num_rows

    def move(self) -> None:
        """Does nothing: each batch stands for itself."""


def build_centering(method: str, num_prototypes: int, momentum: float) -> Centering:
    """Builds what `center_method` names."""
    if method == "softmax":
        return SoftmaxCentering(num_prototypes, momentum)
    return SinkhornKnopp()
