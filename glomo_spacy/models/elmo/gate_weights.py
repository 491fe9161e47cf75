"""The parameters of an LSTM's layer, and how the loops over time want them.

A loop computes one sigmoid over all four gates. As tanh(v) = 2 sigma(2 v) - 1, the candidate's weights are doubled for
that; see `recurrence.py` for the equations.
"""

from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

_GATE_FACTORS = (1.0, 2.0, 1.0, 1.0)  # of the pre-activations of i, j, f, o in a loop, to the true ones


class Settings(NamedTuple):
    """What the loop needs besides tensors.

    cell_clip, proj_clip (Optional[float]): Limits of cells and outputs.
    forget_bias (float): Added to the forget gate.
    dtype (torch.dtype): Of the products; the rest is computed in float32, or in the weights' type if that is finer.
    """

    cell_clip: Optional[float]
    proj_clip: Optional[float]
    forget_bias: float
    dtype: torch.dtype


class Weights(NamedTuple):
    """The parameters of a layer, as `ProjectedLSTM` has them."""

    input_weight: Tensor
    hidden_weight: Tensor
    bias: Tensor
    projection: Tensor


def scale_gates(weights: Weights, settings: Settings) -> Weights:
    """The weights of a loop's equations: the candidate's doubled, the forget bias added, the projection negative."""
    scale = by_gate(_GATE_FACTORS, weights.bias)  # (4 * cell,)
    bias = (weights.bias + by_gate((0.0, 0.0, settings.forget_bias, 0.0), weights.bias)) * scale
    input_weight, hidden_weight = (weight * scale[:, None] for weight in weights[:2])
    return Weights(input_weight, hidden_weight, bias, weights.projection.neg())


def by_gate(factors: Tuple[float, ...], like: Tensor) -> Tensor:
    """One number per gate as a vector like `like`. Shape: (4 * cell,)."""
    return torch.tensor(factors, dtype=like.dtype, device=like.device).repeat_interleave(len(like) // len(factors))
