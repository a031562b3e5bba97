"""The projection head of DINO and iBOT; its names are those of the original's state dict."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DinoHead(nn.Module):
    """Three linear layers, L2 normalization, and a weight-normalized layer of prototypes.

    Args:
        in_dim: Width of a token, D.
        out_dim: Number of prototypes, K.
        hidden_dim: Width of the two hidden layers.
        bottleneck_dim: Width before the prototypes.
        batch_norm: Puts a batch norm behind each hidden layer.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        hidden_dim: int,
        bottleneck_dim: int,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (in_dim, hidden_dim):
            layers.append(nn.Linear(width, hidden_dim))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden_dim))
            layers.append(nn.GELU())
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden_dim, bottleneck_dim))
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.last_layer = WeightNormLinear(bottleneck_dim, out_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns the logits of the prototypes, `(..., D)` -> `(..., K)`."""
        bottleneck = self.mlp(tokens)
        eps = 1e-6 if bottleneck.dtype == torch.float16 else 1e-12
        logits: Tensor = self.last_layer(F.normalize(bottleneck, dim=-1, eps=eps))
        return logits


class WeightNormLinear(nn.Module):
    """A linear layer without bias whose rows have a length of their own (Salimans et al., 2016).

    Torch's own `weight_norm` has other names, which the original's files do not hold.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(out_dim, 1))
        self.weight_v = nn.Parameter(torch.empty(out_dim, in_dim))
        nn.init.kaiming_uniform_(self.weight_v, a=5**0.5)  # as `nn.Linear` draws

    def forward(self, rows: Tensor) -> Tensor:
        """`(..., in_dim)` -> `(..., out_dim)`."""
        lengths = self.weight_v.norm(dim=1, keepdim=True)
        return F.linear(rows, self.weight_v * (self.weight_g / lengths))
