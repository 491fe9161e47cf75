"""Sums over the processes of a distributed run, which together compute what one would on the joined batch."""

from typing import Any

import torch
from torch import Tensor


def is_distributed() -> bool:
    """Whether this process trains together with others."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a tensor over all processes, with gradients; every process must call it.

    values (Tensor): Any shape, the same everywhere.
    RETURNS (Tensor): The sum, the same everywhere; `values` itself if there is one process.
    """
    return _Sum.apply(values) if is_distributed() else values


class _Sum(torch.autograd.Function):
    """All-reduce whose gradient is the all-reduce of the gradients: each loss depends on every process's input."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        torch.distributed.all_reduce(total)
        return total
