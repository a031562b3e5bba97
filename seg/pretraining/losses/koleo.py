"""KoLeo (Sablayrolles et al., 2019): spreads features by the distance to the nearest one."""

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.pretraining.ranks import gather_rows

EPS = 1e-8


def koleo_loss(rows: Tensor) -> Tensor:
    """Returns the mean of `-log` of the distance to the nearest other row, on the unit sphere.

    Neighbors are looked for among the rows of all processes.

    Args:
        rows: `(B, D)`, at least two in all processes together.

    Returns:
        A float32 scalar, the same in all processes.
    """
    unit = F.normalize(gather_rows(rows.float()), dim=-1, eps=EPS)
    with torch.no_grad():
        nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(dim=1)
    distances = F.pairwise_distance(unit, unit[nearest], p=2, eps=EPS)
    return -torch.log(distances + EPS).mean()
