"""Weights laid out once for many products, as a recurrence needs them.

On a CPU oneDNN keeps the weights in blocks of its own; torch reaches that through operators that `torch.compile` uses,
private ones, which are tried once. Where they are missing or the product is small, `F.linear` computes the same.
"""

from functools import cache
from typing import Optional

import torch
from torch import Tensor
from torch.nn import functional as F

from .products import linear

_WORTH_IT = 1 << 14  # weights below which laying them out costs more than it gains


class Product:
    """values @ weight.T + bias for fixed weights.

    weight (Tensor): Shape: (n_out, n_in).
    bias (Optional[Tensor]): Shape: (n_out,).
    """

    def __init__(self, weight: Tensor, bias: Optional[Tensor] = None) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, values: Tensor) -> Tensor:
        """values (Tensor): In the weights' type. Shape: (rows, n_in). RETURNS (Tensor): Shape: (rows, n_out)."""
        return linear(values, self.weight, self.bias)


class _OneDnnProduct(Product):
    """The same with weights in oneDNN's layout."""

    def __call__(self, values: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(values, self.weight, self.bias, "none", [], "")
        return product


def prepack(weight: Tensor, bias: Optional[Tensor] = None, *, rows: int) -> Product:
    """Lay weights out; later changes of `weight` have no effect.

    weight (Tensor): float32 or bfloat16 gain from it. Shape: (n_out, n_in).
    bias (Optional[Tensor]): Shape: (n_out,).
    rows (int): Of values in a typical product, which decides the layout.
    RETURNS (Product): Call it with values.
    """
    weight = weight.detach()
    bias = None if bias is None else bias.detach()
    if weight.device.type != "cpu" or weight.numel() < _WORTH_IT or not _is_available(weight.dtype):
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
