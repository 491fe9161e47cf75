"""One layer of a Mogrifier LSTM, or of an LSTM, over sequences: the loop over time, and its gradients written by hand.

The equations are those of `cell.py`, with every option. What makes the loop short:

- Sequences are packed, see `packing.py`: step t works on the first `sizes[t]` rows; nothing is computed at padding.
- Matrices are laid out once for all steps; constant factors of the equations go into them, see `gating.py` and
  `lstm_step.py`.
- Gradients of weights are one product each over all steps, after the loop.
- Without gradients the same loop runs in the memory of one step.
"""

from typing import Any, Iterable, Iterator, List, Optional, Tuple

import torch
from torch import Tensor

from ..memory import keep_freed_memory
from ..precision import at_least_float32
from .cell_settings import CellSettings
from .gating import gate
from .layer import Prepared, Trace, Weights, new_trace, prepare
from .lstm_step import CELL_FACTOR
from .matrices import Precision
from .way_back import WayBack

CHUNK_TOKENS = 512  # whose inputs are multiplied ahead at a time where there are no gradients

Result = Tuple[Tensor, Tensor, Tensor]


def recur(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    sizes: List[int],
    weights: Weights,
    settings: CellSettings,
    *,
    dtype: torch.dtype,
    state_mask: Optional[Tensor] = None,
) -> Result:
    """Run one layer, with gradients.

    inputs (Tensor): Packed. Shape: (tokens, m).
    hidden, cell (Tensor): The state before, rows in packed order. Shapes: (batch, n), (batch, cell).
    sizes (List[int]): Rows in use at each step, falling.
    weights (Weights): The layer's parameters.
    settings (CellSettings): Its variant.
    dtype (torch.dtype): Of large products; the rest is computed in float32, or in the weights' type if that is finer.
    state_mask (Optional[Tensor]): Factors on the last output before it is gated, the same at every step; gets no
        gradient. Shape: (batch, n).
    RETURNS (Result): Packed outputs (tokens, n); the state after each row's last step.
    """
    with _without_autocast(inputs):
        result: Result = _Recurrence.apply(inputs, hidden, cell, sizes, settings, dtype, state_mask, *weights.flat())
    return result


def run(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    sizes: List[int],
    prepared: Prepared,
    *,
    state_mask: Optional[Tensor] = None,
) -> Result:
    """Run one layer, without gradients and in little memory; arguments as for `recur`."""
    keep_freed_memory()
    inputs, hidden, cell = (at_least_float32(values) for values in (inputs, hidden, cell * CELL_FACTOR))
    outputs = hidden.new_empty(len(inputs), hidden.shape[1])
    scratch = new_trace(max(sizes, default=0), inputs.shape[1], hidden.shape[1], prepared)
    first = 0
    for chunk in _chunks(sizes, CHUNK_TOKENS):
        tokens = slice(first, first + sum(chunk))
        steps = scratch.reuse(chunk, outputs[tokens])
        with _without_autocast(inputs):
            hidden, cell = _forward(inputs[tokens], hidden, cell, chunk, state_mask, prepared, steps)
        first = tokens.stop
    return outputs, hidden.clone(), cell / CELL_FACTOR


def _without_autocast(values: Tensor) -> torch.autocast:
    """Each product chooses its own type."""
    return torch.autocast(values.device.type, enabled=False)


def _chunks(sizes: List[int], limit: int) -> Iterator[List[int]]:
    """Cut the steps so that each part has at most `limit` tokens, or is one step."""
    chunk: List[int] = []
    for size in sizes:
        if chunk and sum(chunk) + size > limit:
            yield chunk
            chunk = []
        chunk.append(size)
    if chunk:
        yield chunk


def _forward(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    sizes: List[int],
    state_mask: Optional[Tensor],
    prepared: Prepared,
    traces: Iterable[Trace],
) -> Tuple[Tensor, Tensor]:
    """The loop.

    cell (Tensor): d = -2 c, see `lstm_step.py`.
    traces (Iterable[Trace]): One for each step; they are filled.
    RETURNS (Tuple[Tensor, Tensor]): h and d after each row's last step, of their own memory.
    """
    # Inputs that nothing gates are multiplied all at once.
    ahead = None if prepared.gates else prepared.from_input(inputs).split(sizes)
    ends: List[Tuple[Tensor, Tensor]] = []
    for step, (x, rows) in enumerate(zip(inputs.split(sizes), traces)):
        if len(x) < len(hidden):
            ends.append((hidden[len(x) :], cell[len(x) :]))
            hidden, cell = hidden[: len(x)], cell[: len(x)]
        h = hidden if state_mask is None else hidden * state_mask[: len(x)]
        x, h = gate(x, h, prepared.gates, rows.rounds)
        from_input = prepared.from_input(x) if ahead is None else ahead[step]
        gates = _join(from_input, prepared.from_hidden(h), prepared, rows.products)  # (rows, gates * cell)
        prepared.step.forward(gates, cell, rows.step)
        _put_out(rows, prepared)
        hidden, cell = rows.outputs, rows.step.cell
    hidden, cell = map(torch.cat, zip((hidden, cell), *reversed(ends)))
    return hidden, cell


def _join(from_input: Tensor, from_hidden: Tensor, prepared: Prepared, products: List[Tensor]) -> Tensor:
    """Gates before the sigmoid. Shape: (rows, gates * cell)."""
    if prepared.norms is None:
        return from_input.add_(from_hidden)
    for product, kept in zip((from_input, from_hidden), products):
        kept.copy_(product)
    return prepared.norms.input(from_input).add_(prepared.norms.hidden(from_hidden))


def _put_out(rows: Trace, prepared: Prepared) -> None:
    """From message to output."""
    if prepared.project is not None:
        rows.outputs.copy_(prepared.project(rows.step.message))
    elif prepared.proj_clip is not None:
        rows.outputs.copy_(rows.step.message)
    if prepared.proj_clip is not None:
        rows.outputs.clamp_(-prepared.proj_clip, prepared.proj_clip)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, hidden: Tensor, cell: Tensor, *others: Any) -> Result:
        keep_freed_memory()
        sizes, settings, dtype, state_mask, *flat = others
        prepared = prepare(Weights.from_flat(flat), settings, Precision(dtype, is_int8=False, rows=len(hidden)))
        inputs, hidden, cell = (at_least_float32(values) for values in (inputs, hidden, cell * CELL_FACTOR))
        trace = new_trace(len(inputs), inputs.shape[1], hidden.shape[1], prepared)
        last_hidden, last_cell = _forward(inputs, hidden, cell, sizes, state_mask, prepared, trace.split(sizes))
        ctx.rest = sizes, prepared
        # The weights only so that torch notices when somebody changes them in between.
        ctx.save_for_backward(inputs, hidden, cell, state_mask, *trace.flat(), *flat)
        ctx.n_saved = 4 + len(trace.flat())
        return trace.outputs, last_hidden, last_cell / CELL_FACTOR

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Optional[Tensor], ...]:
        sizes, prepared = ctx.rest
        inputs, hidden, cell, state_mask, *flat = ctx.saved_tensors[: ctx.n_saved]
        trace = Trace.from_flat(flat, len(prepared.gates))
        with _without_autocast(inputs):
            way_back = WayBack(inputs, hidden, cell, sizes, state_mask, prepared, trace)
            given = way_back.run(*gradients)
            return *given, None, None, None, None, *way_back.gradients().flat()
