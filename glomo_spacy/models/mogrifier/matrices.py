"""Matrices as a loop over time multiplies with them: laid out once, full or low rank, in the number type that pays."""

from typing import Callable, NamedTuple, Optional, Union

import torch
from torch import Tensor

from ..precision import at_least_float32
from ..prepacked import prepack
from ..products import linear

_WORTH_HALF = 1 << 15  # weights below which a product of few rows is slower in fewer bits than in float32

Scale = Union[float, Tensor]


class Factors(NamedTuple):
    """A matrix as a layer keeps it.

    left (Tensor): The matrix, (n_out, n_in), or the first of two narrow ones, (n_out, rank).
    right (Optional[Tensor]): The second one. Shape: (rank, n_in).
    bias (Optional[Tensor]): Added to the product. Shape: (n_out,).
    """

    left: Tensor
    right: Optional[Tensor] = None
    bias: Optional[Tensor] = None


class Precision(NamedTuple):
    """What products are computed in.

    dtype (torch.dtype): Of large products; small ones stay in float32. Values and results are at least float32.
    is_int8 (bool): Large products in eight bits; without gradients only.
    rows (int): Of values in a typical product, which decides the layout.
    """

    dtype: torch.dtype
    is_int8: bool
    rows: int


class Matrix:
    """scale * left @ right @ values + bias, for values that come row by row.

    factors (Factors): The matrix.
    precision (Precision): Of the products.
    scale (Scale): A number, or one per output, (n_out, 1). The bias is not scaled.

    Attributes:
    n_out, n_in (int): Widths of results and values.
    """

    def __init__(self, factors: Factors, precision: Precision, *, scale: Scale = 1.0) -> None:
        left, self._right, bias = factors
        self.n_out, self.n_in = len(left), (left if self._right is None else self._right).shape[1]
        self._left = left * scale
        self._scale, self._has_bias, self._precision = scale, bias is not None, precision
        self._last = _stage(self._left, bias, precision)
        self._first = None if self._right is None else _stage(self._right, None, precision)

    def __call__(self, values: Tensor) -> Tensor:
        """values (Tensor): Shape: (rows, n_in). RETURNS (Tensor): Shape: (rows, n_out)."""
        return self._last(values if self._first is None else self._first(values))

    def transposed(self) -> "Matrix":
        """The way back of a gradient: from (rows, n_out) to (rows, n_in)."""
        left, right = self._left.t(), None if self._right is None else self._right.t()
        return Matrix(Factors(left) if right is None else Factors(right, left), self._precision)

    def gradients(self, d_results: Tensor, values: Tensor) -> Factors:
        """Of left, right and bias, over all steps at once.

        d_results (Tensor): Shape: (tokens, n_out).
        values (Tensor): Shape: (tokens, n_in).
        """
        d_bias = d_results.sum(0) if self._has_bias else None
        if self._right is None:
            return Factors(self._outer(d_results, values, self._left) * self._scale, None, d_bias)
        inner, d_inner = linear(values, self._right), linear(d_results, self._left.t())  # (tokens, rank)
        d_left = self._outer(d_results, inner, self._left) * self._scale
        return Factors(d_left, self._outer(d_inner, values, self._right), d_bias)

    def _outer(self, d_results: Tensor, values: Tensor, weight: Tensor) -> Tensor:
        """Sum over tokens of d_results (tokens, n_out) times values (tokens, n_in). Shape: that of `weight`."""
        dtype = _product_type(weight, self._precision)
        return at_least_float32(linear(d_results.to(dtype).t(), values.to(dtype).t()))


def _stage(weight: Tensor, bias: Optional[Tensor], precision: Precision) -> Callable[[Tensor], Tensor]:
    """One product, from and to at least float32."""
    dtype, is_int8 = _product_type(weight, precision), precision.is_int8 and weight.numel() >= _WORTH_HALF
    bias = None if bias is None else bias.to(dtype)
    laid_out = prepack(weight.to(dtype), bias, rows=precision.rows, is_int8=is_int8)
    return laid_out if dtype == weight.dtype else lambda values: laid_out(values.to(dtype)).to(weight.dtype)


def _product_type(weight: Tensor, precision: Precision) -> torch.dtype:
    return precision.dtype if weight.numel() >= _WORTH_HALF else weight.dtype
