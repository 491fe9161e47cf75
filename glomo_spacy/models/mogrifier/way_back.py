"""The loop over time of `recurrence.py` backwards, and the gradients of the weights after it."""

from typing import List, Optional, Tuple

import torch
from torch import Tensor

from .gating import gate_back, gate_gradients
from .layer import Prepared, Trace, Weights
from .layer_norm import NormBack
from .lstm_step import CELL_FACTOR

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
        self._prepared, self._trace = prepared, trace
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
        matrices = self._prepared
        gates = [matrix.transposed() for matrix in matrices.gates]
        from_input, from_hidden = matrices.from_input.transposed(), matrices.from_hidden.transposed()
        project = None if matrices.project is None else matrices.project.transposed()
        d_inputs = torch.empty_like(self._inputs)
        d_last_hidden, d_last_cell = d_last_hidden.to(d_inputs.dtype), d_last_cell.to(d_inputs.dtype) / CELL_FACTOR
        d_hidden, d_cell = d_last_hidden[:0], d_last_cell[:0]
        packed = self._inputs, self._hidden, d_outputs, d_inputs, self._d_outputs, self._d_gates
        steps = zip(*(part.split(self._sizes) for part in (*packed, *self._d_products, *self._d_rounds)))
        everything = list(zip(self._cells, self._trace.split(self._sizes), steps))
        for step in reversed(range(len(everything))):
            before, rows, (x, h, d_output, d_input, d_total, d_gates, d_u, d_v, *d_rounds) = everything[step]
            first, size = len(d_hidden), len(x)
            if first < size:  # the rows that end here
                d_hidden = torch.cat([d_hidden, d_last_hidden[first:size]])
                d_cell = torch.cat([d_cell, d_last_cell[first:size]])
            torch.add(d_output, d_hidden, out=d_total)
            limit = matrices.proj_clip
            if limit is not None:
                d_total.copy_(torch.ops.aten.hardtanh_backward(d_total, rows.outputs, -limit, limit))
            d_message = d_total if project is None else project(d_total)
            cell_norm = self._norms[2] if self._norms else None
            d_cell = matrices.step.back(d_message, d_cell, before, rows.step, d_gates, cell_norm, step)
            for norm, d_product in zip(self._norms, (d_u, d_v)):
                d_product.copy_(norm(d_gates, step))
            d_hidden = from_hidden(d_v)
            if gates:
                gate_back(d_input.copy_(from_input(d_u)), d_hidden, x, h, gates, rows.rounds, d_rounds)
            if self._mask is not None:
                d_hidden = d_hidden * self._mask[:size]
        if not gates:
            d_inputs = from_input(self._d_products[0])
        d_hidden = torch.cat([d_hidden, d_last_hidden[len(d_hidden) :]])
        d_cell = torch.cat([d_cell, d_last_cell[len(d_cell) :]])
        return d_inputs, d_hidden, d_cell * CELL_FACTOR

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


def _before(packed: Tensor, start: Tensor, sizes: List[int]) -> List[Tensor]:
    """What each step finds: `start` (batch, …) at first, then the rows of the step before."""
    found = [start, *(packed.split(sizes) if sizes else [])]
    return [rows[:size] for rows, size in zip(found, sizes)]
