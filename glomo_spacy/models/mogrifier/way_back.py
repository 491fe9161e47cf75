"""The loop over time of `recurrence.py` backwards, and the gradients of the weights after it."""

from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from .gating import gate_back, gate_gradients
from .layer import Prepared, Trace, Weights
from .layer_norm import NormBack
from .lstm_step import CELL_FACTOR
from .matrices import Matrix

Gradients = Tuple[Tensor, Tensor, Tensor]


class WayBack:
    """From the gradients of a layer's results to those of what it was given.

    inputs, hidden, cell (Tensor): What the loop was given; the cell as d = -2 c, see `lstm_step.py`.
    sizes (List[int]): Rows in use at each step.
    state_mask (Optional[Tensor]): Factors on the last output.
    prepared (Prepared): The layer.
    trace (Trace): What the loop left.
    """

    def __init__(
        self,
        inputs: Tensor,
        hidden: Tensor,
        cell: Tensor,
        sizes: List[int],
        state_mask: Optional[Tensor],
        prepared: Prepared,
        trace: Trace,
    ) -> None:
        self._inputs, self._sizes, self._mask = inputs, sizes, state_mask
        self._prepared, self._trace, self._traces = prepared, trace, trace.split(sizes)
        self._matrices = _transpose(prepared)
        self._cells = _before(trace.step.cell, cell, sizes)
        self._hidden = torch.cat([hidden[:0], *_before(trace.outputs, hidden, sizes)])  # (tokens, n)
        if state_mask is not None:
            self._hidden.mul_(torch.cat([state_mask[:0], *(state_mask[:size] for size in sizes)]))
        # Gradients of what the products give, packed.
        self._d_rounds = [torch.empty_like(each.gate) for each in trace.rounds]
        self._d_gates = torch.empty_like(trace.step.gates)  # (tokens, gates * cell)
        self._d_products = [torch.empty_like(each) for each in trace.products] or [self._d_gates] * 2
        self._d_outputs = torch.empty_like(trace.outputs)  # (tokens, n)
        self._norms: List[NormBack] = []
        if prepared.norms is not None:
            normed = [*trace.products, trace.step.cell]
            self._norms = [NormBack(norm, values, sizes) for norm, values in zip(prepared.norms, normed)]

    def run(self, d_outputs: Tensor, d_last_hidden: Tensor, d_last_cell: Tensor) -> Gradients:
        """The loop.

        d_outputs, d_last_hidden, d_last_cell (Tensor): Gradients of the layer's results.
        RETURNS (Gradients): Those of inputs, hidden and cell, the true one.
        """
        d_inputs = torch.empty_like(self._inputs)
        d_last_hidden, d_last_cell = d_last_hidden.to(d_inputs.dtype), d_last_cell.to(d_inputs.dtype) / CELL_FACTOR
        d_hidden, d_cell = d_last_hidden[:0], d_last_cell[:0]
        given = self._inputs, self._hidden, d_outputs
        filled = d_inputs, self._d_outputs, self._d_gates, *self._d_products, *self._d_rounds
        steps = zip(*(part.split(self._sizes) for part in (*given, *filled))) if self._sizes else ()
        for step, parts in reversed(list(enumerate(steps))):
            first, size = len(d_hidden), self._sizes[step]
            if first < size:  # the rows that end here
                d_hidden = torch.cat([d_hidden, d_last_hidden[first:size]])
                d_cell = torch.cat([d_cell, d_last_cell[first:size]])
            d_hidden, d_cell = self._step(step, d_hidden, d_cell, *parts)
        if not self._matrices.gates:
            d_inputs = self._matrices.from_input(self._d_products[0])
        d_hidden = torch.cat([d_hidden, d_last_hidden[len(d_hidden) :]])
        d_cell = torch.cat([d_cell, d_last_cell[len(d_cell) :]])
        return d_inputs, d_hidden, d_cell * CELL_FACTOR

    def _step(
        self,
        step: int,
        d_hidden: Tensor,
        d_cell: Tensor,
        x: Tensor,
        h: Tensor,
        d_output: Tensor,
        d_input: Tensor,
        d_total: Tensor,
        d_gates: Tensor,
        d_from_input: Tensor,
        d_from_hidden: Tensor,
        *d_rounds: Tensor,
    ) -> Tuple[Tensor, Tensor]:
        """From the gradients of h and d after a step to those before it; fills all from `d_input` on."""
        matrices, trace = self._matrices, self._traces[step]
        torch.add(d_output, d_hidden, out=d_total)
        if self._prepared.proj_clip is not None:
            limit = self._prepared.proj_clip
            d_total.copy_(torch.ops.aten.hardtanh_backward(d_total, trace.outputs, -limit, limit))
        d_message = d_total if matrices.project is None else matrices.project(d_total)
        cell_norm = self._norms[2] if self._norms else None
        before = self._cells[step]
        d_cell = self._prepared.step.back(d_message, d_cell, before, trace.step, d_gates, cell_norm, step)
        for norm, d_product in zip(self._norms, (d_from_input, d_from_hidden)):
            d_product.copy_(norm(d_gates, step))
        d_h = matrices.from_hidden(d_from_hidden)
        if matrices.gates:
            d_input.copy_(matrices.from_input(d_from_input))
            gate_back(d_input, d_h, x, h, matrices.gates, trace.rounds, d_rounds)
        return (d_h if self._mask is None else d_h * self._mask[: len(d_h)]), d_cell

    def gradients(self) -> Weights:
        """Of the weights, when the loop is done."""
        prepared, rounds = self._prepared, self._trace.rounds
        x = rounds[(len(rounds) - 1) // 2 * 2].scaled if rounds else self._inputs
        h = rounds[len(rounds) // 2 * 2 - 1].scaled if len(rounds) > 1 else self._hidden
        projection = input_norm = hidden_norm = cell_norm = cell_norm_bias = None
        if prepared.project is not None:
            projection = prepared.project.gradients(self._d_outputs, self._trace.step.message).left
        if self._norms:
            (input_norm, _), (hidden_norm, _), (cell_norm, cell_norm_bias) = (each.gradients() for each in self._norms)
            input_norm, hidden_norm = input_norm * prepared.scale, hidden_norm * prepared.scale
            cell_norm, cell_norm_bias = cell_norm * -CELL_FACTOR, cell_norm_bias * CELL_FACTOR
        return Weights(
            prepared.from_input.gradients(self._d_products[0], x).left,
            prepared.from_hidden.gradients(self._d_products[1], h).left,
            self._d_gates.sum(0) * prepared.scale,
            projection,
            input_norm,
            hidden_norm,
            cell_norm,
            cell_norm_bias,
            tuple(gate_gradients(self._inputs, self._hidden, prepared.gates, rounds, self._d_rounds)),
        )


class _Transposed(NamedTuple):
    """The matrices of a layer, transposed."""

    gates: List[Matrix]
    from_input: Matrix
    from_hidden: Matrix
    project: Optional[Matrix]


def _transpose(layer: Prepared) -> _Transposed:
    return _Transposed(
        [matrix.transposed() for matrix in layer.gates],
        layer.from_input.transposed(),
        layer.from_hidden.transposed(),
        None if layer.project is None else layer.project.transposed(),
    )


def _before(packed: Tensor, start: Tensor, sizes: List[int]) -> List[Tensor]:
    """What each step finds: `start` (batch, …) at first, then the rows of the step before."""
    found = [start, *(packed.split(sizes) if sizes else [])]
    return [rows[:size] for rows, size in zip(found, sizes)]
