"""A layer's parameters as its loop over time wants them, and what the loop leaves behind for the way back."""

from itertools import groupby
from operator import itemgetter
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from torch import Tensor

from ..precision import at_least_float32
from .cell_settings import NORM_EPSILON, CellSettings
from .gating import Round, factors_left_out, prepare_gates
from .layer_norm import Norm
from .lstm_step import CANDIDATE_FACTOR, CELL_FACTOR, LSTMStep, StepTrace
from .matrices import Factors, Matrix, Precision, Scale


class Weights(NamedTuple):
    """The parameters of a layer as `MogrifierLSTM` has them; `gates` are those of its rounds, in their order."""

    input_weight: Tensor
    hidden_weight: Tensor
    bias: Tensor
    projection: Optional[Tensor]
    input_norm: Optional[Tensor]
    hidden_norm: Optional[Tensor]
    cell_norm: Optional[Tensor]
    cell_norm_bias: Optional[Tensor]
    gates: Tuple[Factors, ...]

    def flat(self) -> List[Optional[Tensor]]:
        """All of them in a row, as autograd wants its arguments."""
        return [*self[:-1], *(part for gate in self.gates for part in gate)]

    @classmethod
    def from_flat(cls, flat: Sequence[Any]) -> "Weights":
        """Undo `flat`."""
        gates = [Factors(*flat[first : first + 3]) for first in range(8, len(flat), 3)]
        return cls._make([*flat[:8], tuple(gates)])


class Norms(NamedTuple):
    """What is normalised: W x, together with the bias of the gates, R h, and the cell before it is put out."""

    input: Norm
    hidden: Norm
    cell: Norm


class Prepared(NamedTuple):
    """A layer laid out for many steps.

    gates (List[Matrix]): Q_1, R_1, Q_2, R_2, …
    from_input, from_hidden (Matrix): W and R; W's bias is that of the gates where nothing is normalised.
    project (Optional[Matrix]): P.
    norms (Optional[Norms]): Where something is normalised.
    step (LSTMStep): What follows the products.
    proj_clip (Optional[float]): Limit of outputs.
    scale (Tensor): Of the gates' pre-activations in the loop, to the true ones. Shape: (gates * cell,).
    """

    gates: List[Matrix]
    from_input: Matrix
    from_hidden: Matrix
    project: Optional[Matrix]
    norms: Optional[Norms]
    step: LSTMStep
    proj_clip: Optional[float]
    scale: Tensor


def prepare(weights: Weights, settings: CellSettings, precision: Precision) -> Prepared:
    """Lay a layer's parameters out; later changes of them have no effect."""
    weights = Weights.from_flat([None if part is None else at_least_float32(part.detach()) for part in weights.flat()])
    scale = _by_gate(1.0, CANDIDATE_FACTOR, 1.0, 1.0, settings=settings, like=weights.bias)
    bias = (weights.bias + _by_gate(0.0, 0.0, settings.forget_bias, 0.0, settings=settings, like=weights.bias)) * scale
    x_factor, h_factor = factors_left_out(settings.rounds)
    norms = _norms(weights, scale, bias)
    by_gate: Scale = scale[:, None] if norms is None else 1.0
    bias_of_product = bias if norms is None else None
    return Prepared(
        prepare_gates(weights.gates, precision),
        Matrix(Factors(weights.input_weight, None, bias_of_product), precision, scale=x_factor * by_gate),
        Matrix(Factors(weights.hidden_weight), precision, scale=h_factor * by_gate),
        None if weights.projection is None else Matrix(Factors(weights.projection), precision),
        norms,
        LSTMStep(settings.input_gate, settings.cell_clip, None if norms is None else norms.cell),
        settings.proj_clip,
        scale,
    )


def _norms(weights: Weights, scale: Tensor, bias: Tensor) -> Optional[Norms]:
    if weights.input_norm is None or weights.hidden_norm is None or weights.cell_norm is None:
        return None
    # Of d = -2 c: its variance is 4 times that of c, and the two signs cancel.
    cell_weight = weights.cell_norm * -CELL_FACTOR
    cell_bias = None if weights.cell_norm_bias is None else weights.cell_norm_bias * CELL_FACTOR
    return Norms(
        Norm(weights.input_norm * scale, bias, epsilon=NORM_EPSILON),
        Norm(weights.hidden_norm * scale, None, epsilon=NORM_EPSILON),
        Norm(cell_weight, cell_bias, epsilon=NORM_EPSILON * CELL_FACTOR**2),
    )


def _by_gate(*factors: float, settings: CellSettings, like: Tensor) -> Tensor:
    """One number each for input, candidate, forget and output gate as a vector. Shape: (gates * cell,)."""
    return like.new_tensor(factors[-settings.n_gates :]).repeat_interleave(settings.cell_width)


class Trace(NamedTuple):
    """What the way forward leaves for the way back, at one step or packed over all.

    rounds (List[Round]): Of the gating rounds.
    products (List[Tensor]): W x and R h, if they are normalised. Shapes: (rows, gates * cell).
    step (StepTrace): Of the LSTM's step.
    outputs (Tensor): h; the messages themselves if they are put out as they are. Shape: (rows, n).
    """

    rounds: List[Round]
    products: List[Tensor]
    step: StepTrace
    outputs: Tensor

    def flat(self) -> List[Tensor]:
        """All of them in a row."""
        return [*(part for each in self.rounds for part in each), *self.products, *self.step, self.outputs]

    @classmethod
    def from_flat(cls, flat: Sequence[Tensor], n_rounds: int) -> "Trace":
        """Undo `flat`."""
        rounds = [Round(*flat[2 * index : 2 * index + 2]) for index in range(n_rounds)]
        return cls(rounds, list(flat[2 * n_rounds : -5]), StepTrace(*flat[-5:-1]), flat[-1])

    def split(self, sizes: List[int]) -> List["Trace"]:
        """The steps, given the rows of each."""
        by_step = zip(*(part.split(sizes) for part in self.flat())) if sizes else ()
        return [Trace.from_flat(rows, len(self.rounds)) for rows in by_step]

    def reuse(self, sizes: List[int], outputs: Tensor) -> Iterator["Trace"]:
        """The steps, all in the memory of this one but for what is put out, packed, (tokens, n)."""
        is_plain = self.outputs is self.step.message
        for size, rows in groupby(zip(sizes, outputs.split(sizes)), key=itemgetter(0)):
            found = Trace.from_flat([part[:size] for part in self.flat()], len(self.rounds))
            for _, output in rows:
                step = found.step._replace(message=output) if is_plain else found.step
                yield found._replace(step=step, outputs=output)


def new_trace(n_tokens: int, m: int, n: int, prepared: Prepared) -> Trace:
    """Memory for so many tokens of a layer with inputs of width m and outputs of width n."""
    scale = at_least_float32(prepared.scale)
    gates, cell = len(scale), len(scale) // prepared.step.n_gates

    def new(width: int) -> Tensor:
        return scale.new_empty(n_tokens, width)

    rounds = [Round(new(width), new(width)) for width in ([m, n] * len(prepared.gates))[: len(prepared.gates)]]
    step = StepTrace(new(gates), new(cell), new(cell), new(cell))
    is_plain = prepared.project is None and prepared.proj_clip is None
    products = [] if prepared.norms is None else [new(gates), new(gates)]
    return Trace(rounds, products, step, step.message if is_plain else new(n))
