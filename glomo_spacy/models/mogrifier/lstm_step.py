"""An LSTM's step between its matrix products: from gates to cell to message, and the gradients of that.

The equations are those of `cell.py`. tanh(v) = 1 - 2 sigma(-2 v), and torch's sigma is ten times as fast as its tanh.
So the candidate's pre-activation comes multiplied by -2, by way of its weights, and the cell is kept as d = -2 c; then
one sigma covers all gates and one more the cell. With s = sigma(-2 j), t = sigma(d) and i the input gate in effect:

    d_t = clip(f d_(t-1) + 4 i s - 2 i)        m_t = o - 2 o t = o tanh(c)
"""

from typing import List, NamedTuple, Optional

import torch
from torch import Tensor

from .layer_norm import Norm, NormBack

CELL_FACTOR = -2.0  # d / c
CANDIDATE_FACTOR = -2.0  # of its pre-activation


class StepTrace(NamedTuple):
    """What a step leaves for the way back, at one step or packed over all.

    gates (Tensor): i, s, f, o; without i if it is tied. Shape: (rows, gates * cell).
    cell (Tensor): d. Shape: (rows, cell).
    squashed (Tensor): t. Shape: (rows, cell).
    message (Tensor): m. Shape: (rows, cell).
    """

    gates: Tensor
    cell: Tensor
    squashed: Tensor
    message: Tensor


class LSTMStep(NamedTuple):
    """What the step depends on.

    input_gate (str): "capped", "tied" or "free".
    cell_clip (Optional[float]): Limit of c.
    norm (Optional[Norm]): Of d, before it is put out.
    """

    input_gate: str
    cell_clip: Optional[float]
    norm: Optional[Norm]

    @property
    def n_gates(self) -> int:
        """Gates that have weights."""
        return 3 if self.input_gate == "tied" else 4

    def forward(self, gates: Tensor, before: Tensor, trace: StepTrace) -> None:
        """Fill a trace.

        gates (Tensor): Before the sigmoid. Shape: (rows, gates * cell).
        before (Tensor): d of the step before. Shape: (rows, cell).
        """
        torch.sigmoid(gates, out=trace.gates)
        *write, s, keep, read = trace.gates.chunk(self.n_gates, 1)  # (rows, cell) each
        take = self._take(write, keep)
        torch.mul(before, keep, out=trace.cell).addcmul_(take, s, value=4).sub_(take, alpha=2)
        if self.cell_clip is not None:
            limit = self.cell_clip * abs(CELL_FACTOR)
            trace.cell.clamp_(-limit, limit)
        shown = trace.cell if self.norm is None else self.norm(trace.cell)
        t = torch.sigmoid(shown, out=trace.squashed)
        torch.addcmul(read, read, t, value=-2, out=trace.message)

    def _take(self, write: List[Tensor], keep: Tensor) -> Tensor:
        """The input gate in effect. Shape: (rows, cell)."""
        if self.input_gate == "free":
            return write[0]
        rest = 1 - keep
        return rest if self.input_gate == "tied" else torch.minimum(rest, write[0])

    def back(
        self,
        d_message: Tensor,
        d_cell: Tensor,
        before: Tensor,
        trace: StepTrace,
        d_gates: Tensor,
        norm_back: Optional[NormBack],
        step: int,
    ) -> Tensor:
        """From the gradients of message and d to those of the gates before the sigmoid and of d before.

        d_message, d_cell (Tensor): Shapes: (rows, cell).
        before (Tensor), trace (StepTrace): As the step had them.
        d_gates (Tensor): Is filled. Shape: (rows, gates * cell).
        norm_back (Optional[NormBack]): The way back through `norm`.
        step (int): Which one this is.
        RETURNS (Tensor): The gradient of d before. Shape: (rows, cell).
        """
        *write, s, keep, read = trace.gates.chunk(self.n_gates, 1)
        *d_write, d_s, d_keep, d_read = d_gates.chunk(self.n_gates, 1)
        torch.addcmul(d_message, d_message, trace.squashed, value=-2, out=d_read)
        d_shown = torch.ops.aten.sigmoid_backward(d_message * read, trace.squashed).mul_(-2)
        d_cell = d_cell + (d_shown if norm_back is None else norm_back(d_shown, step))
        if self.cell_clip is not None:
            limit = self.cell_clip * abs(CELL_FACTOR)
            d_cell = torch.ops.aten.hardtanh_backward(d_cell, trace.cell, -limit, limit)
        take = self._take(write, keep)
        torch.mul(d_cell, take, out=d_s).mul_(4)
        torch.mul(d_cell, before, out=d_keep)
        d_take = torch.addcmul(d_cell, d_cell, s, value=-2).mul_(-2)
        if self.input_gate == "tied":
            d_keep.sub_(d_take)
        elif self.input_gate == "free":
            d_write[0].copy_(d_take)
        else:
            # Where both are equal we choose the gate, autograd gives each a half.
            torch.mul(d_take, write[0] <= take, out=d_write[0])
            d_keep.sub_(d_take).add_(d_write[0])
        torch.ops.aten.sigmoid_backward.grad_input(d_gates, trace.gates, grad_input=d_gates)
        return d_cell * keep
