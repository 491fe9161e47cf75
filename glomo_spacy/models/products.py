"""Matrix products in float32 on a CPU, through the faster of the two libraries that torch brings along.

`F.linear` hands float32 to MKL, the faster one on Intel's processors, by a tenth forward and by a third backward. On
others MKL runs AVX2 code; there oneDNN, which torch uses for convolutions and for bfloat16, is 2.2 times as fast (AMD
EPYC with AVX-512). `torch.compile` calls it through the operator used here; where a build of torch lacks it, everything
falls back to `F.linear`.
"""

import platform
from functools import cache
from pathlib import Path
from typing import Any, Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_WORTH_IT = 1 << 21  # multiplications of a product below which the call costs more than it gains


def linear(values: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    """`F.linear`: values @ weight.T + bias.

    values (Tensor): Shape: (..., n_in).
    weight (Tensor): Shape: (n_out, n_in).
    bias (Optional[Tensor]): Shape: (n_out,).
    RETURNS (Tensor): Shape: (..., n_out).
    """
    if not _suits_onednn(values, weight):
        return F.linear(values, weight, bias)
    if torch.is_grad_enabled() and (values.requires_grad or weight.requires_grad):
        result: Tensor = _OneDnnLinear.apply(values, weight, bias)
        return result
    return _product(values, weight, bias)


class Linear(nn.Linear):
    """`nn.Linear` by way of `linear`; the same parameters under the same names."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


class _OneDnnLinear(torch.autograd.Function):
    """The same product with its gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        ctx.save_for_backward(values, weight)
        return _product(values, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[Optional[Tensor], Optional[Tensor], Optional[Tensor]]:
        values, weight = ctx.saved_tensors
        needs_values, needs_weight, needs_bias = ctx.needs_input_grad
        gradient = gradient.contiguous()
        rows = gradient.flatten(0, -2)  # (rows, n_out)
        d_values = _product(gradient, weight.t(), None) if needs_values else None
        d_weight = _product(rows.t(), values.flatten(0, -2).t(), None) if needs_weight else None
        return d_values, d_weight, rows.sum(0) if needs_bias else None


def _suits_onednn(values: Tensor, weight: Tensor) -> bool:
    return (
        values.dtype == weight.dtype == torch.float32
        and values.device.type == weight.device.type == "cpu"
        and values.dim() >= 2
        and values.numel() * weight.shape[0] >= _WORTH_IT
        and not torch.is_autocast_enabled("cpu")
        and not mkl_is_at_home()
        and _is_available()
    )


def _product(values: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(values.contiguous(), weight, bias, "none", [], "")
    return product


@cache
def mkl_is_at_home() -> bool:
    """Whether torch has MKL and runs on a processor that MKL is made for."""
    description = Path("/proc/cpuinfo")
    vendor = description.read_text(encoding="utf8") if description.exists() else platform.processor()
    return torch.backends.mkl.is_available() and "GenuineIntel" in vendor


@cache
def _is_available() -> bool:
    """Whether this build of torch has the operator and it does what we think."""
    if not torch.backends.mkldnn.is_available():
        return False
    values, weight, bias = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(4, 3), torch.arange(4.0)
    try:
        return bool(torch.allclose(_product(values, weight, bias), F.linear(values, weight, bias)))
    except (AttributeError, RuntimeError, TypeError):
        return False
