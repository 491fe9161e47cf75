"""Locked dropout: one mask per sequence and channel, constant over time (Gal and Ghahramani 2016)."""

import torch
from torch import Tensor


def locked_dropout(values: Tensor, rate: float, *, is_train: bool) -> Tensor:
    """Drop whole channels of a sequence, with inverse scaling.

    values (Tensor): Shape: (batch, seq, width).
    rate (float): Share of channels dropped, 0 <= rate < 1.
    is_train (bool): Explicit, because a module's training flag is not safe to toggle between threads.
    RETURNS (Tensor): Shape: (batch, seq, width).
    """
    if not is_train or rate == 0.0:
        return values
    keep = torch.empty_like(values[:, :1]).bernoulli_(1.0 - rate)  # (batch, 1, width)
    return values * (keep / (1.0 - rate))
