"""Number types: where fewer bits are chosen, and where a sum or a logarithm needs more than bfloat16."""

from typing import List

import torch
from torch import Tensor, nn

from ..errors import Errors

PRECISIONS = ("float32", "bfloat16", "int8")


def set_precision(model: nn.Module, precision: str) -> None:
    """Choose how the large products in a model are computed when no gradient is wanted.

    It acts on what has a `precision`: networks over characters, LSTMs with and without gating, and soft-maxes over
    whole vocabularies, which take "int8" for "bfloat16". The rest stays in float32.

    model (nn.Module): A `BiLM` or `LanguageModel`, or anything that holds one.
    precision (str): "float32" (as the weights are), "bfloat16" or "int8": faster, and outside the promise of parity.
    RAISES: ValueError G100 for another one.
    """
    if precision not in PRECISIONS:
        raise ValueError(Errors.G100.format(name="precision", value=precision, options=", ".join(PRECISIONS)))
    for module in model.modules():
        if isinstance(getattr(module, "precision", None), str):
            setattr(module, "precision", precision)  # noqa: B010  # to mypy, modules have tensors only


def precisions(model: nn.Module) -> List[str]:
    """What `set_precision` chose for each part of a model; whoever keeps something computed by it compares this."""
    found = (getattr(module, "precision", None) for module in model.modules())
    return [precision for precision in found if isinstance(precision, str)]


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay as they are. Any shape."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def product_dtype(weight: Tensor) -> torch.dtype:
    """The type that products with these weights are computed in: autocast's where it is on, else the weights' own."""
    device = weight.device.type
    if weight.dtype == torch.float32 and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype
