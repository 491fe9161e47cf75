"""The loop of `recurrence.py` with its products in bfloat16 or eight bits, without gradient.

In few bits a product takes so little time that what surrounds it counts. So input and state, side by side, are one
product at each step, instead of the inputs' product for many steps ahead and a sum: its result is written once. Gates
and cells are computed in float32.
"""

from typing import List, NamedTuple

import torch
from torch import Tensor

from ..memory import keep_freed_memory
from ..precision import at_least_float32
from ..prepacked import Product, prepack
from .gate_weights import Settings, Weights, scale_gates
from .recurrence import Result, steps, update_cells


class ReducedWeights(NamedTuple):
    """A layer's parameters, laid out.

    gates (Product): Of inputs and states side by side, (rows, 2 * projection).
    project (Product): Of messages, (rows, cell).
    """

    gates: Product
    project: Product


def prepare_reduced(weights: Weights, settings: Settings, *, rows: int, is_int8: bool) -> ReducedWeights:
    """Make the products of a layer.

    settings (Settings): Of `dtype` bfloat16, or float32 for eight bits.
    rows (int): Sequences at a time.
    """
    scaled, dtype = scale_gates(weights, settings), settings.dtype
    joint = torch.cat([scaled.input_weight, scaled.hidden_weight], 1)  # (4 * cell, 2 * projection)
    return ReducedWeights(
        prepack(joint.to(dtype), scaled.bias.to(dtype), rows=rows, is_int8=is_int8),
        prepack(scaled.projection.to(dtype), rows=rows, is_int8=is_int8),
    )


def run_reduced(
    inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], weights: ReducedWeights, settings: Settings
) -> Result:
    """Run one layer; arguments and result as for `recurrence.run`."""
    keep_freed_memory()
    given, hidden = inputs.to(settings.dtype), hidden.to(settings.dtype)
    twice = cell.float() * 2
    scratch = torch.empty_like(twice)
    outputs = twice.new_empty(len(inputs), hidden.shape[1])
    ends: List[Tensor] = []
    n_rows = len(hidden)
    for size, (values, output) in zip(sizes, steps(sizes, given, outputs)):
        if size < n_rows:
            ends.append(hidden[size:])
            hidden, n_rows = hidden[:size], size
        gates = at_least_float32(weights.gates(torch.cat([values, hidden], 1)))  # (rows, 4 * cell)
        message = update_cells(gates.sigmoid_(), twice[:size], scratch[:size], settings.cell_clip)
        hidden = weights.project(message.to(settings.dtype))  # (rows, projection)
        if settings.proj_clip is not None:
            hidden.clamp_(-settings.proj_clip, settings.proj_clip)
        output.copy_(hidden)
    return outputs, torch.cat([hidden, *reversed(ends)]).float(), twice.mul_(0.5)
