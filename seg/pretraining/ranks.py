"""What the processes of one training exchange; a process alone exchanges nothing."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Returns the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Returns the place of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def summed(tensor: Tensor) -> Tensor:
    """Returns the sum over all processes, a new tensor without a gradient."""
    total = tensor.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def maximum(tensor: Tensor) -> Tensor:
    """Returns the element-wise maximum over all processes, without a gradient."""
    largest = tensor.detach().clone()
    if world_size() > 1:
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
    return largest


def gather_rows(rows: Tensor) -> Tensor:
    """Puts the rows of all processes below each other, in the order of their ranks.

    The gradient of a loss that every process computes from all rows reaches each process's own
    ones once for each process; averaging over processes, as DDP does, then gives the gradient of
    that loss.

    Args:
        rows: `(n, ...)`, of the same shape in all processes.
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _GatherRows.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.num_rows = len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = summed(gradients[0].contiguous())
        start = rank() * ctx.num_rows
        return total[start : start + ctx.num_rows]
