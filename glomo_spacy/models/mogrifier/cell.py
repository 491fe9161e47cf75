"""The Mogrifier LSTM's cell: input and state gate each other, then an LSTM step follows.

Source: Melis et al. 2020 (arXiv 1909.01792), section 2, and the cell of deepmind/lamb. With x_t (width m) a layer's
input, h_(t-1) (width n) its own last output, after the dropout of both, and i the round, counted from 1:

    x <- 2 sigma(Q_i h + b_i) x     odd i        equations 1 and 2
    h <- 2 sigma(R_i x + b_i) h     even i
    i, j, f, o = W x + R h + b                   input, candidate, forget, output: the order of the weights
    f = sigma(f + forget_bias)
    i = min(1 - f, sigma(i))                     "capped"; 1 - f if "tied"; sigma(i) if "free", the textbook LSTM
    c_t = clip(f c_(t-1) + i tanh(j), cell_clip)
    h_t = clip(P (sigma(o) tanh(c_t)), proj_clip)     P only where outputs are projected

Only the gates read the modified h. With 0 rounds it is the LSTM itself. `MogrifierLSTM.plain` computes just this, step
by step under autograd; what runs is the loop of `recurrence.py`, which gives the same in half the time.
"""

import math
from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Errors
from ..derived import Derived
from ..precision import product_dtype
from .cell_settings import NORM_EPSILON, CellSettings
from .layer import Prepared, Weights, prepare
from .matrices import Factors, Precision
from .recurrence import recur, run

ROWS = 32  # a usual batch; weights are laid out for it once, and as fast with any other number of rows

# A gate's matrix, or two narrow ones whose product it is, left @ right.
Weight = Union[Tensor, Tuple[Tensor, Tensor]]
Biases = Optional[Sequence[Tensor]]


def mogrify(
    x: Tensor,
    h: Tensor,
    q_weights: Sequence[Weight],
    r_weights: Sequence[Weight],
    *,
    q_biases: Biases = None,
    r_biases: Biases = None,
) -> Tuple[Tensor, Tensor]:
    """The gating rounds alone: x and h scale each other in turns, x first.

    There are as many rounds as matrices, odd ones for x and even ones for h, always with the latest values.

    x (Tensor): Inputs. Shape: (batch, m).
    h (Tensor): Last outputs. Shape: (batch, n).
    q_weights (Sequence[Weight]): For rounds 1, 3, 5, …: (m, n) each, or pairs (m, rank), (rank, n).
    r_weights (Sequence[Weight]): For rounds 2, 4, 6, …: (n, m) each, or pairs; as many as `q_weights` or one less.
    q_biases, r_biases (Biases): One per matrix, (m,) and (n,). The paper has none, lamb has them.
    RETURNS (Tuple[Tensor, Tensor]): x and h after the last round, shapes as before.
    RAISES: ValueError G180 if the rounds do not take turns, G181 for another number of biases.
    """
    if len(q_weights) - len(r_weights) not in (0, 1):
        raise ValueError(Errors.G180.format(n_q=len(q_weights), n_r=len(r_weights)))
    q_gates, r_gates = _with_biases("q", q_weights, q_biases), _with_biases("r", r_weights, r_biases)
    for index, q_gate in enumerate(q_gates):
        x = 2 * torch.sigmoid(_affine(h, *q_gate)) * x
        if index < len(r_gates):
            h = 2 * torch.sigmoid(_affine(x, *r_gates[index])) * h
    return x, h


class MogrifierLSTM(nn.Module):
    """One layer, over whole sequences.

    settings (CellSettings): Widths and variant.

    Parameters, where m is the width of inputs, n that of outputs, and `gates` 4, or 3 if tied:

        input_weight (gates * cell, m)    W      hidden_weight (gates * cell, n)    R      bias (gates * cell)
        q_weights.{i} (m, n)              round 2 i + 1, or q_weights.{i}.left (m, rank) and .right (rank, n)
        r_weights.{i} (n, m)              round 2 i + 2, or a pair too
        q_biases.{i} (m), r_biases.{i} (n)     if `gate_bias`
        projection (n, cell)                   if `proj_width`
        input_norm, hidden_norm (gates * cell), cell_norm, cell_norm_bias (cell)     if `layer_norm`
    """

    def __init__(self, settings: CellSettings) -> None:
        super().__init__()
        self.settings = settings
        m, n, cell = settings.input_width, settings.hidden_width, settings.cell_width
        gates = settings.n_gates * cell
        self.input_weight = _normal(gates, m)
        self.hidden_weight = _normal(gates, n)
        self.bias = nn.Parameter(torch.zeros(gates))
        n_q, n_r = (settings.rounds + 1) // 2, settings.rounds // 2
        self.q_weights = _gate_weights(n_q, m, n, settings.rank)
        self.r_weights = _gate_weights(n_r, n, m, settings.rank)
        if settings.gate_bias:
            self.q_biases = nn.ParameterList(torch.zeros(m) for _ in range(n_q))
            self.r_biases = nn.ParameterList(torch.zeros(n) for _ in range(n_r))
        if settings.proj_width is not None:
            self.projection = _normal(n, cell)
        if settings.layer_norm:
            self.input_norm, self.hidden_norm = (nn.Parameter(torch.ones(gates)) for _ in range(2))
            self.cell_norm, self.cell_norm_bias = nn.Parameter(torch.ones(cell)), nn.Parameter(torch.zeros(cell))
        self.precision = "float32"
        self._prepared: Derived[Prepared] = Derived()

    def forward(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], *, state_mask: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Run over whole sequences, packed as `packing.py` has it.

        inputs (Tensor): Shape: (tokens, m).
        hidden, cell (Tensor): The state before, rows in packed order. Shapes: (batch, n), (batch, cell).
        sizes (List[int]): Rows in use at each step, falling.
        state_mask (Optional[Tensor]): Factors on the last output before it is gated, the same at every step: dropout
            of the state. Shape: (batch, n).
        RETURNS (Tuple[Tensor, Tensor, Tensor]): Packed outputs (tokens, n); the state after each row's last step.
        """
        dtype, state = product_dtype(self.bias), (hidden, cell)
        if torch.is_grad_enabled():
            return recur(inputs, *state, sizes, self.weights(), self.settings, dtype=dtype, state_mask=state_mask)
        dtype = {"bfloat16": torch.bfloat16, "int8": torch.float32}.get(self.precision, dtype)
        precision = Precision(dtype, is_int8=self.precision == "int8", rows=ROWS)
        prepared = self._prepared.get(self, precision, lambda: prepare(self.weights(), self.settings, precision))
        return run(inputs, *state, sizes, prepared, state_mask=state_mask)

    def weights(self) -> Weights:
        """The parameters as the loop over time takes them."""
        settings = self.settings
        others = "projection", "input_norm", "hidden_norm", "cell_norm", "cell_norm_bias"
        q_gates, r_gates = as_weights(self.q_weights), as_weights(self.r_weights)
        gates: List[Factors] = []
        for index in range(settings.rounds):
            weight = (q_gates, r_gates)[index % 2][index // 2]
            bias = (self.q_biases, self.r_biases)[index % 2][index // 2] if settings.gate_bias else None
            left, right = (weight, None) if isinstance(weight, Tensor) else weight
            gates.append(Factors(left, right, bias))
        optional = [getattr(self, name, None) for name in others]
        return Weights._make([self.input_weight, self.hidden_weight, self.bias, *optional, tuple(gates)])

    def plain(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], *, state_mask: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """The same, step by step under autograd; what the loop of `recurrence.py` must equal."""
        outputs = [inputs.new_zeros(0, hidden.shape[1])]
        begin = 0
        for rows in sizes:
            x, mask = inputs[begin : begin + rows], None if state_mask is None else state_mask[:rows]
            h, c = self.step(x, hidden[:rows], cell[:rows], state_mask=mask)
            hidden, cell = torch.cat([h, hidden[rows:]]), torch.cat([c, cell[rows:]])
            outputs.append(h)
            begin += rows
        return torch.cat(outputs), hidden, cell

    def step(
        self, x: Tensor, hidden: Tensor, cell: Tensor, *, state_mask: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """One step: x (batch, m), hidden (batch, n), cell (batch, cell) to the next hidden and cell."""
        settings = self.settings
        h = hidden if state_mask is None else hidden * state_mask
        x, h = self.gate(x, h)
        *write, candidate, keep, read = self._gates(x, h).chunk(settings.n_gates, 1)  # (batch, cell) each
        forget = torch.sigmoid(keep + settings.forget_bias)
        if settings.input_gate == "tied":
            take = 1 - forget
        else:
            take = torch.sigmoid(write[0])
            take = torch.minimum(1 - forget, take) if settings.input_gate == "capped" else take
        cell = forget * cell + take * torch.tanh(candidate)
        if settings.cell_clip is not None:
            cell = cell.clamp(-settings.cell_clip, settings.cell_clip)
        shown = cell
        if settings.layer_norm:
            shown = F.layer_norm(cell, cell.shape[1:], self.cell_norm, self.cell_norm_bias, NORM_EPSILON)
        hidden = torch.sigmoid(read) * torch.tanh(shown)
        if settings.proj_width is not None:
            hidden = F.linear(hidden, self.projection)
        if settings.proj_clip is not None:
            hidden = hidden.clamp(-settings.proj_clip, settings.proj_clip)
        return hidden, cell

    def gate(self, x: Tensor, h: Tensor) -> Tuple[Tensor, Tensor]:
        """`mogrify` with this layer's weights."""
        q_biases, r_biases = (list(self.q_biases), list(self.r_biases)) if self.settings.gate_bias else (None, None)
        q_weights, r_weights = as_weights(self.q_weights), as_weights(self.r_weights)
        return mogrify(x, h, q_weights, r_weights, q_biases=q_biases, r_biases=r_biases)

    def _gates(self, x: Tensor, h: Tensor) -> Tensor:
        """Pre-activations. Shape: (batch, gates * cell)."""
        from_input, from_hidden = F.linear(x, self.input_weight), F.linear(h, self.hidden_weight)
        if self.settings.layer_norm:
            from_input = F.layer_norm(from_input, from_input.shape[1:], self.input_norm, eps=NORM_EPSILON)
            from_hidden = F.layer_norm(from_hidden, from_hidden.shape[1:], self.hidden_norm, eps=NORM_EPSILON)
        return from_input + from_hidden + self.bias


class LowRank(nn.Module):
    """A matrix kept as the product of two narrow ones.

    n_out, n_in, rank (int): Shapes of `left` (n_out, rank) and `right` (rank, n_in).
    """

    def __init__(self, n_out: int, n_in: int, rank: int) -> None:
        super().__init__()
        self.left = _normal(n_out, rank)
        self.right = _normal(rank, n_in)


def as_weights(weights: Union[nn.ParameterList, nn.ModuleList]) -> List[Weight]:
    """A layer's `q_weights` or `r_weights` as `mogrify` takes them."""
    found: List[Any] = list(weights)
    return [(weight.left, weight.right) if isinstance(weight, LowRank) else weight for weight in found]


def _gate_weights(count: int, n_out: int, n_in: int, rank: Optional[int]) -> Union[nn.ParameterList, nn.ModuleList]:
    if rank is None:
        return nn.ParameterList(_normal(n_out, n_in) for _ in range(count))
    return nn.ModuleList(LowRank(n_out, n_in, rank) for _ in range(count))


def _normal(n_out: int, n_in: int) -> nn.Parameter:
    """As lamb begins: a normal law whose variance is 1 / fan-in."""
    return nn.Parameter(torch.randn(n_out, n_in) / math.sqrt(n_in))


def _with_biases(name: str, weights: Sequence[Weight], biases: Biases) -> List[Tuple[Weight, Optional[Tensor]]]:
    """Matrices with their biases."""
    if biases is not None and len(biases) != len(weights):
        raise ValueError(Errors.G181.format(name=name, found=len(biases), expected=len(weights)))
    return list(zip(weights, [None] * len(weights) if biases is None else biases))


def _affine(values: Tensor, weight: Weight, bias: Optional[Tensor]) -> Tensor:
    if isinstance(weight, Tensor):
        return F.linear(values, weight, bias)
    left, right = weight
    return F.linear(F.linear(values, right), left, bias)
