"""One LSTM layer over sequences of any lengths: the loop over time, and its gradients written by hand.

The equations are those of `lstm.py`. What makes the loop short:

- Sequences are *packed*: sorted by falling length, all first tokens, then all second ones, and so on, so that step t
  works on the first `sizes[t]` rows of the state and nothing is ever computed at padding.
- tanh(v) = 2 sigma(2 v) - 1, and torch's sigma is ten times as fast as its tanh. With the candidate's weights doubled
  one sigma covers all four gates; with the cell doubled one more gives tanh(c).
- Constant factors of gradients are left out in the loop and go into the weights before it and the sums after it.
- Gradients of weights and inputs are one product each over all steps.

With s = sigma(2 j), d = 2 c and t = sigma(d):

    d_t = clip(f d_(t-1) + 4 i s - 2 i)        m_t = o - 2 o t = -o tanh(c)        r_t = clip(-P m_t)
"""

from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from ..memory import keep_freed_memory
from ..precision import at_least_float32
from ..prepacked import Product, prepack
from ..products import linear
from .gate_weights import Settings, Weights, by_gate, scale_gates

CHUNK_GATES = 1 << 21  # numbers held at a time where the products of inputs are computed ahead, 8 MB

_GRADIENT_FACTORS = (-2.0, 8.0, 1.0, 1.0)  # of their true gradients to what the loop computes


class Prepared(NamedTuple):
    """A layer's parameters as the loop wants them: scaled, in the type of the products, laid out."""

    from_input: Product
    from_hidden: Product
    project: Product


def prepare(weights: Weights, settings: Settings, *, rows: int) -> Prepared:
    """Make the products of a layer.

    rows (int): Sequences at a time.
    """
    scaled, dtype = scale_gates(weights, settings), settings.dtype
    return Prepared(
        prepack(scaled.input_weight.to(dtype), scaled.bias.to(dtype), rows=16 * rows),
        prepack(scaled.hidden_weight.to(dtype), rows=rows),
        prepack(scaled.projection.to(dtype), rows=rows),
    )


Result = Tuple[Tensor, Tensor, Tensor]


def recur(
    inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], weights: Weights, settings: Settings
) -> Result:
    """Run one layer, with gradients.

    inputs (Tensor): Packed. Shape: (tokens, projection).
    hidden, cell (Tensor): The state before, rows in packed order. Shapes: (batch, projection), (batch, cell_width).
    sizes (List[int]): Rows in use at each step, falling.
    weights (Weights): The layer's parameters.
    settings (Settings): Limits and precision.
    RETURNS (Result): Packed outputs (tokens, projection); the state after each row's last step.
    """
    result: Result = _Recurrence.apply(inputs, hidden, cell, *weights, sizes, settings)
    return result


def run(
    inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], prepared: Prepared, settings: Settings
) -> Result:
    """Run one layer, without gradients and in little memory; arguments as for `recur`."""
    keep_freed_memory()
    wide = at_least_float32(hidden[:0].to(settings.dtype)).dtype
    hidden, twice = hidden.to(wide, copy=True), cell.to(wide) * 2
    outputs = hidden.new_empty(len(inputs), hidden.shape[1])
    scratch = torch.empty_like(twice)
    for raw, (output,) in zip(_raw_gates(inputs, hidden, sizes, prepared, settings), steps(sizes, outputs)):
        size = len(raw)
        message = update_cells(raw.sigmoid_(), twice[:size], scratch[:size], settings.cell_clip)
        output.copy_(prepared.project(message.to(settings.dtype)))
        if settings.proj_clip is not None:
            output.clamp_(-settings.proj_clip, settings.proj_clip)
        hidden[:size] = output
    return outputs, hidden, twice.mul_(0.5)


def update_cells(gates: Tensor, d: Tensor, message: Tensor, cell_clip: Optional[float]) -> Tensor:
    """One step of the cells.

    gates (Tensor): i, s, f, o. Shape: (rows, 4 * cell).
    d (Tensor): Changed in place. Shape: (rows, cell).
    message (Tensor): Memory for m. Shape: (rows, cell).
    RETURNS (Tensor): m, in that memory.
    """
    write, candidate, keep, read = gates.chunk(4, 1)  # (rows, cell) each
    d.mul_(keep).addcmul_(write, candidate, value=4).sub_(write, alpha=2)
    if cell_clip is not None:
        d.clamp_(-2 * cell_clip, 2 * cell_clip)
    torch.sigmoid(d, out=message)
    return torch.addcmul(read, read, message, value=-2, out=message)


def _raw_gates(
    inputs: Tensor, hidden: Tensor, sizes: List[int], prepared: Prepared, settings: Settings
) -> Iterator[Tensor]:
    """Gates of each step before the sigmoid, (rows, 4 * cell); reads what `hidden` holds when the step is due."""
    for chunk in _chunks(sizes, max(CHUNK_GATES // max(prepared.from_hidden.n_out, 1), 1)):
        ahead = prepared.from_input(inputs[: sum(chunk)].to(settings.dtype))  # (tokens, 4 * cell)
        for (rows,) in steps(chunk, ahead):
            yield prepared.from_hidden.add_to(at_least_float32(rows), hidden[: len(rows)].to(settings.dtype))
        inputs = inputs[sum(chunk) :]


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


class _Trace(NamedTuple):
    """What the way forward leaves for the way back; all packed but the last two.

    gates (Tensor): i, s, f, o. Shape: (tokens, 4 * cell).
    cells (Tensor): d. Shape: (tokens, cell).
    squashed (Tensor): t. Shape: (tokens, cell).
    messages (Tensor): m, in the products' type. Shape: (tokens, cell).
    outputs (Tensor): r. Shape: (tokens, projection).
    hidden, cell (Tensor): The state after each row's last step, r and c. Shapes: (batch, projection), (batch, cell).
    """

    gates: Tensor
    cells: Tensor
    squashed: Tensor
    messages: Tensor
    outputs: Tensor
    hidden: Tensor
    cell: Tensor


def _forward(
    inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], prepared: Prepared, settings: Settings
) -> _Trace:
    """The loop; arguments as for `recur`."""
    from_inputs = prepared.from_input(inputs.to(settings.dtype))  # (tokens, 4 * cell)
    is_half = from_inputs.dtype not in (torch.float32, torch.float64)
    gates = torch.empty_like(from_inputs, dtype=torch.float32) if is_half else from_inputs
    hidden, twice = hidden.to(gates.dtype), cell.to(gates.dtype) * 2
    cells, squashed = (gates.new_empty(len(gates), cell.shape[1]) for _ in range(2))
    messages = torch.empty_like(cells, dtype=settings.dtype)
    outputs = gates.new_empty(len(gates), hidden.shape[1])
    ends: List[Tuple[Tensor, Tensor]] = []
    for from_input, gate, d, t, message, output in steps(sizes, from_inputs, gates, cells, squashed, messages, outputs):
        size = len(gate)
        if size < len(hidden):
            ends.append((hidden[size:], twice[size:]))
            hidden, twice = hidden[:size], twice[:size]
        gate = gate.copy_(from_input) if is_half else from_input
        gate.add_(prepared.from_hidden(hidden.to(settings.dtype))).sigmoid_()
        write, candidate, keep, read = gate.chunk(4, 1)  # (rows, cell) each
        torch.mul(twice, keep, out=d).addcmul_(write, candidate, value=4).sub_(write, alpha=2)
        if settings.cell_clip is not None:
            d.clamp_(-2 * settings.cell_clip, 2 * settings.cell_clip)
        torch.sigmoid(d, out=t)
        message.copy_(torch.addcmul(read, read, t, value=-2))
        output.copy_(prepared.project(message))
        if settings.proj_clip is not None:
            output.clamp_(-settings.proj_clip, settings.proj_clip)
        hidden, twice = output, d
    hidden, twice = map(torch.cat, zip((hidden, twice), *reversed(ends)))
    return _Trace(gates, cells, squashed, messages, outputs, hidden, twice * 0.5)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, hidden: Tensor, cell: Tensor, *others: Any) -> Result:
        keep_freed_memory()
        weights, (sizes, settings) = Weights(*others[:4]), others[4:]
        trace = _forward(inputs, hidden, cell, sizes, prepare(weights, settings, rows=len(hidden)), settings)
        ctx.sizes, ctx.settings = sizes, settings
        ctx.save_for_backward(inputs, hidden, cell, *weights, *trace)
        return trace.outputs, trace.hidden, trace.cell

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Optional[Tensor], ...]:
        inputs, hidden, cell, *others = ctx.saved_tensors
        weights, trace = Weights(*others[:4]), _Trace(*others[4:])
        return (*_backward(inputs, hidden, cell, ctx.sizes, weights, ctx.settings, trace, gradients), None, None)


def _backward(
    inputs: Tensor,
    hidden: Tensor,
    cell: Tensor,
    sizes: List[int],
    weights: Weights,
    settings: Settings,
    trace: _Trace,
    gradients: Sequence[Tensor],
) -> Tuple[Tensor, ...]:
    """The loop backwards. RETURNS: The gradients of inputs, hidden, cell and the four weights."""
    dtype, wide = settings.dtype, trace.gates.dtype
    scale = by_gate(_GRADIENT_FACTORS, weights.bias)[:, None]  # (4 * cell, 1)
    to_hidden = prepack((weights.hidden_weight * scale).t().to(dtype), rows=len(hidden))
    to_message = prepack(weights.projection.neg().t().to(dtype), rows=len(hidden))
    d_outputs, d_last_hidden, d_last_cell = gradients
    d_projected = torch.empty_like(trace.outputs, dtype=dtype)  # (tokens, projection)
    d_gates = torch.empty_like(trace.gates, dtype=dtype)  # (tokens, 4 * cell)
    before = _shift(trace.cells, cell.to(wide) * 2, sizes)
    traced = zip(before, *zip(*steps(sizes, *trace[:3], trace.outputs, d_outputs, d_projected, d_gates)))
    d_last_twice = d_last_cell.to(wide) * 0.5
    d_hidden, d_twice = d_last_hidden[:0].to(wide), d_last_twice[:0]
    for d_before, gate, d, t, output, d_output, d_project, d_gate in reversed(list(traced)):
        first, size = len(d_twice), len(gate)
        if first < size:  # the rows that end here
            d_hidden = torch.cat([d_hidden, d_last_hidden[first:size]])
            d_twice = torch.cat([d_twice, d_last_twice[first:size]])
        d_row = d_output + d_hidden
        if settings.proj_clip is not None:
            d_row = torch.ops.aten.hardtanh_backward(d_row, output, -settings.proj_clip, settings.proj_clip)
        d_message = at_least_float32(to_message(d_project.copy_(d_row)))  # (rows, cell)
        d_raw = torch.empty_like(gate)
        write, candidate, keep, read = gate.chunk(4, 1)
        d_write, d_candidate, d_keep, d_read = d_raw.chunk(4, 1)
        torch.addcmul(d_message, d_message, t, value=-2, out=d_read)
        d_twice = d_twice.add(torch.ops.aten.sigmoid_backward(d_message * read, t), alpha=-2)
        if settings.cell_clip is not None:
            limit = 2 * settings.cell_clip
            d_twice = torch.ops.aten.hardtanh_backward(d_twice, d, -limit, limit)
        torch.addcmul(d_twice, d_twice, candidate, value=-2, out=d_write)
        torch.mul(d_twice, write, out=d_candidate)
        torch.mul(d_twice, d_before, out=d_keep)
        d_twice = d_twice * keep
        d_gate.copy_(torch.ops.aten.sigmoid_backward(d_raw, gate))
        d_hidden = at_least_float32(to_hidden(d_gate))
    d_hidden = torch.cat([d_hidden, d_last_hidden[len(d_hidden) :]])
    d_twice = torch.cat([d_twice, d_last_twice[len(d_twice) :]])
    seen = torch.cat([inputs.to(dtype), torch.cat([hidden[:0], *_shift(trace.outputs, hidden, sizes)]).to(dtype)], 1)
    d_joint = linear(seen.t(), d_gates.t()).t() * scale  # (4 * cell, 2 * projection)
    d_input_weight, d_hidden_weight = d_joint.chunk(2, 1)
    d_inputs = linear(d_gates, (weights.input_weight * scale).t().to(dtype))
    d_bias = d_gates.sum(0) * scale[:, 0]
    d_projection = linear(trace.messages.t(), d_projected.t()).t().neg()  # (projection, cell)
    return d_inputs, d_hidden, d_twice * 2, d_input_weight, d_hidden_weight, d_bias, d_projection


def steps(sizes: List[int], *packed: Tensor) -> Iterator[Tuple[Tensor, ...]]:
    """The rows of each step, of several packed tensors.

    sizes (List[int]): Rows in use at each step.
    packed (Tensor): Shape of each: (tokens, …).
    """
    return zip(*(tensor.split(sizes) for tensor in packed)) if sizes else iter(())


def _shift(packed: Tensor, start: Tensor, sizes: List[int]) -> List[Tensor]:
    """What each step finds: `start` (batch, …) at first, then the rows of the step before."""
    found = [start, *(rows for (rows,) in steps(sizes, packed))]
    return [rows[:size] for rows, size in zip(found, sizes)]
