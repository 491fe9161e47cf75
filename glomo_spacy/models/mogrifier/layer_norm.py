"""Layer normalisation inside a loop over time: the gradients of weight and bias are summed after it.

Source: Ba et al. 2016 (arXiv 1607.06450).
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor

Statistics = Tuple[Tensor, Tensor]  # mean and inverse deviation of each row, (rows, 1)


class Norm:
    """Each row less its mean, over its deviation, times weight, plus bias.

    weight (Tensor): Shape: (width,).
    bias (Optional[Tensor]): Shape: (width,).
    epsilon (float): Added to the variance.
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor], *, epsilon: float) -> None:
        self._weight, self._bias, self._epsilon = weight, bias, epsilon

    def __call__(self, values: Tensor) -> Tensor:
        """values (Tensor): Shape: (rows, width)."""
        return self._forward(values)[0]

    def statistics(self, values: Tensor) -> Statistics:
        """Of each row."""
        return self._forward(values)[1:]

    def back(self, d_result: Tensor, values: Tensor, statistics: Statistics) -> Tensor:
        """The gradient of `values`."""
        found: Tensor = self._backward(d_result, values, statistics, [True, False, False])[0]
        return found

    def gradients(self, d_results: Tensor, values: Tensor, statistics: Statistics) -> Tuple[Tensor, Tensor]:
        """The gradients of weight and bias."""
        found: Tuple[Tensor, Tensor] = self._backward(d_results, values, statistics, [False, True, True])[1:]
        return found

    def _forward(self, values: Tensor) -> Any:
        return torch.native_layer_norm(values, values.shape[1:], self._weight, self._bias, self._epsilon)

    def _backward(self, d_result: Tensor, values: Tensor, statistics: Statistics, wanted: List[bool]) -> Any:
        shape, bias = values.shape[1:], torch.zeros_like(self._weight) if self._bias is None else self._bias
        return torch.ops.aten.native_layer_norm_backward(
            d_result, values, shape, *statistics, self._weight, bias, wanted
        )


class NormBack:
    """The way back through a `Norm`, step by step.

    norm (Norm): The norm.
    values (Tensor): What it was given, packed. Shape: (tokens, width).
    sizes (List[int]): Rows of each step.
    """

    def __init__(self, norm: Norm, values: Tensor, sizes: List[int]) -> None:
        self._norm, self._values, self._statistics = norm, values, norm.statistics(values)
        self._d_results = torch.empty_like(values)
        packed = values, *self._statistics, self._d_results
        self._steps = list(zip(*(tensor.split(sizes) for tensor in packed)))

    def __call__(self, d_result: Tensor, step: int) -> Tensor:
        """From the gradient of a step's result to that of its values; both (rows, width)."""
        values, mean, deviation, kept = self._steps[step]
        kept.copy_(d_result)
        return self._norm.back(d_result, values, (mean, deviation))

    def gradients(self) -> Tuple[Tensor, Tensor]:
        """Of weight and bias, when all steps are done."""
        return self._norm.gradients(self._d_results, self._values, self._statistics)
