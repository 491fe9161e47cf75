"""Number types: where a sum or a logarithm needs more than bfloat16."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay as they are. Any shape."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def product_dtype(weight: Tensor) -> torch.dtype:
    """The type that products with these weights are computed in: autocast's where it is on, else the weights' own."""
    device = weight.device.type
    if weight.dtype == torch.float32 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype
