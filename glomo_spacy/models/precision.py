"""Number types: where a sum or a logarithm needs more than bfloat16."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay as they are. Any shape."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()
