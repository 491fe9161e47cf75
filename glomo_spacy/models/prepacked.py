"""Weights laid out once for many products, as a recurrence needs them; in eight bits if asked.

On a CPU oneDNN keeps the weights in blocks of its own; torch reaches that through operators that `torch.compile` uses,
private ones, which are tried once. Where they are missing or the product is small, `F.linear` computes the same. On
Intel's processors MKL is faster in float32 if it finds the weights transposed, three times with one row of values, but
half as fast where weights come from memory at each call.
"""

from functools import cache
from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .products import linear, mkl_is_at_home

_STEPS = 127  # between 0 and a row's largest number
_ZERO = 128  # what stands for 0 in a byte
# A float32 near this one holds whole numbers only, and its last byte is their distance: adding it rounds, and a copy of
# that byte does what three slower operators would.
_ROUNDER = 1.5 * 2**23
_WORTH_IT = 1 << 14  # weights below which laying them out costs more than it gains
_STAY_IN_CACHE = 1 << 19  # weights, 2 MB in float32, that a core keeps beside what it works on
_INT8_ARGUMENTS: Tuple[Any, ...] = (None, 1.0, 0, torch.float32, "none", [], "")  # no bias, float32 out, nothing after


class Product:
    """values @ weight.T + bias for fixed weights.

    weight (Tensor): Shape: (n_out, n_in).
    bias (Optional[Tensor]): Shape: (n_out,).
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None) -> None:
        self.weight, self.bias = weight, bias
        self.n_out = len(weight)

    def __call__(self, values: Tensor) -> Tensor:
        """values (Tensor): In the weights' type. Shape: (rows, n_in). RETURNS (Tensor): Shape: (rows, n_out)."""
        return linear(values, self.weight, self.bias)

    def add_to(self, total: Tensor, values: Tensor) -> Tensor:
        """Add the product to `total` (rows, n_out), in place. RETURNS (Tensor): The same tensor."""
        return total.add_(self(values))


class _MklProduct(Product):
    """The same with weights that lie transposed in memory, as MKL reads them best."""

    def __init__(self, weight: Tensor, bias: Optional[Tensor]) -> None:
        super().__init__(weight.t().contiguous().t(), bias)

    def add_to(self, total: Tensor, values: Tensor) -> Tensor:
        if self.bias is not None:
            total.add_(self.bias)
        return total.addmm_(values, self.weight.t())


class _OneDnnProduct(Product):
    """The same with weights in oneDNN's layout."""

    def __call__(self, values: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, "none", [], "")
        return product


class _Int8Product(Product):
    """The product of both sides rounded to 127 steps: each row of the weights, and each row of values as it comes.

    So a row's result does not depend on the other rows.
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor], rows: int) -> None:
        peaks = _peaks(weight)
        rounded = (weight * (_STEPS / peaks)).round_().to(torch.int8)
        super().__init__(rounded, bias)
        self._scales = peaks[:, 0] / _STEPS**2  # (n_out,)
        self._rounder = weight.new_full(weight.shape[1:], _ROUNDER + _ZERO)  # (n_in,)
        self._laid_out: Optional[Tensor] = None
        if weight.device.type == "cpu" and _has_int8():
            self._laid_out = torch.ops.onednn.qlinear_prepack(rounded, [max(rows, 1), weight.shape[1]])
            self._zeros = torch.zeros(len(weight), dtype=torch.int32)

    def __call__(self, values: Tensor) -> Tensor:
        peaks = _peaks(values)  # (rows, 1)
        rounded = torch.addcdiv(self._rounder, values, peaks, value=_STEPS).view(torch.int32)
        product = self._product(rounded.to(torch.uint8))  # (rows, n_out)
        return product.mul_(peaks) if self.bias is None else torch.addcmul(self.bias, product, peaks, out=product)

    def _product(self, values: Tensor) -> Tensor:
        """Of bytes, before the scales of rows. Shape: (rows, n_out)."""
        if self._laid_out is None:
            return F.linear(values.float() - _ZERO, self.weight.float()) * self._scales
        # oneDNN is fast with unsigned values only.
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            values, 1.0, _ZERO, self._laid_out, self._scales, self._zeros, *_INT8_ARGUMENTS
        )
        return product


def prepack(weight: Tensor, bias: Optional[Tensor] = None, *, rows: int, is_int8: bool = False) -> Product:
    """Lay weights out, to be done again when `weight` has changed.

    weight (Tensor): float32 or bfloat16 gain from it. Shape: (n_out, n_in).
    bias (Optional[Tensor]): Shape: (n_out,).
    rows (int): Of values in a typical product, which decides the layout.
    is_int8 (bool): Compute in eight bits, from and to float32: about 1 % off. CPU only.
    RETURNS (Product): Call it with values.
    """
    weight = weight.detach()
    bias = None if bias is None else bias.detach()
    if is_int8:
        return _Int8Product(weight, bias, rows)
    if weight.device.type != "cpu" or weight.numel() < _WORTH_IT:
        return Product(weight, bias)
    if weight.dtype == torch.float32 and weight.numel() <= _STAY_IN_CACHE and mkl_is_at_home():
        return _MklProduct(weight, bias)
    if not _is_available(weight.dtype):
        return Product(weight, bias)
    return _OneDnnProduct(_lay_out(weight, rows), bias)


def _lay_out(weight: Tensor, rows: int) -> Tensor:
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), max(rows, 1))
    return laid_out


@cache
def _is_available(dtype: torch.dtype) -> bool:
    """Whether this build of torch and this processor have the operators and they do what we think."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    values, weight = torch.arange(6, dtype=dtype).view(2, 3), torch.arange(12, dtype=dtype).view(4, 3)
    bias = torch.arange(4, dtype=dtype)
    try:
        return bool(torch.equal(_OneDnnProduct(_lay_out(weight, 2), bias)(values), F.linear(values, weight, bias)))
    except (AttributeError, RuntimeError, TypeError):
        return False


def _peaks(values: Tensor) -> Tensor:
    """The largest magnitude of each row, never 0. Shape: (rows, 1)."""
    return values.abs().amax(1, keepdim=True).clamp_(min=1e-30)


@cache
def _has_int8() -> bool:
    """Whether the operators for eight bits are there and do what we think."""
    values, weight = torch.tensor([[1, -2, 3]]), torch.tensor([[4, 5, -6], [7, 8, 9]])
    try:
        scales, zeros = torch.ones(2), torch.zeros(2, dtype=torch.int32)
        laid_out = torch.ops.onednn.qlinear_prepack(weight.to(torch.int8), [1, 3])
        bytes_ = (values + _ZERO).to(torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(bytes_, 1.0, _ZERO, laid_out, scales, zeros, *_INT8_ARGUMENTS)
        return bool(torch.equal(product, (values @ weight.t()).float()))
    except (AttributeError, RuntimeError, TypeError):
        return False
