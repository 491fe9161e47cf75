"""Stacked LSTMs with projection, clipping and skip connections: one direction of a biLM.

Source: Peters et al. 2018 (arXiv 1802.05365), section 3.4; bilm-tf `bilm/model.py`; Sak et al. 2014 for the projection.
With x_t a layer's input, r_(t-1) its last projected output and c_(t-1) its last cell, all products with biases:

    i, j, f, o = W x_t + R r_(t-1) + b                      input, candidate, forget, output: the order of the weights
    c_t = clip(sigma(f + forget_bias) c_(t-1) + sigma(i) tanh(j), cell_clip)
    r_t = clip(P (sigma(o) tanh(c_t)), proj_clip)
    y_t = r_t + x_t from the second layer on, else r_t      r_t recurs, y_t is put out
"""

import math
from typing import TYPE_CHECKING, Dict, List, NamedTuple, Optional, Tuple, Type

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Errors
from ..derived import Derived
from ..packing import Packing
from ..precision import PRECISIONS, product_dtype
from .gate_weights import Settings, Weights
from .mogrifier import ProjectedMogrifier
from .recurrence import Prepared, prepare, recur, run
from .reduced_recurrence import ReducedWeights, prepare_reduced, run_reduced

if TYPE_CHECKING:
    from .config import ElmoConfig

ROWS = 32  # a usual batch; weights are laid out for it once, and as fast with any other number of rows


class State(NamedTuple):
    """What a stack remembers of each row.

    hidden (Tensor): Clipped projections r, without the skip connection. Shape: (layers, batch, projection).
    cell (Tensor): Clipped cells c. Shape: (layers, batch, cell_width).
    """

    hidden: Tensor
    cell: Tensor


class ProjectedLSTM(nn.Module):
    """One layer.

    config (ElmoConfig): Widths, clips and forget bias.
    RAISES: ValueError G156 for `cell_options`: there are none.

    Parameters, with the HDF5 variables of bilm-tf they equal by cutting and transposing alone (P = `projection_width`):

        input_weight (4 * cell, P)     W_0[:P].T
        hidden_weight (4 * cell, P)    W_0[P:].T
        bias (4 * cell)                B, the forget bias not added
        projection (P, cell)           W_P_0.T
    """

    def __init__(self, config: "ElmoConfig") -> None:
        super().__init__()
        if config.cell_options:
            found = ", ".join(sorted(config.cell_options))
            raise ValueError(Errors.G156.format(found=found, cell="lstm", known="nothing"))
        width, cell = config.projection_width, config.cell_width
        self.cell_clip, self.proj_clip = config.cell_clip, config.proj_clip
        self.forget_bias = config.forget_bias
        self.input_weight = nn.Parameter(torch.empty(4 * cell, width))
        self.hidden_weight = nn.Parameter(torch.empty(4 * cell, width))
        self.bias = nn.Parameter(torch.zeros(4 * cell))
        self.projection = nn.Parameter(torch.empty(width, cell))
        self.precision = PRECISIONS[0]
        self._prepared: Derived[Prepared] = Derived()
        self._reduced: Derived[ReducedWeights] = Derived()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Glorot's uniform law over the joined weight of input and state, as TensorFlow initialised it."""
        n_gates, width = self.input_weight.shape
        for weight in (self.input_weight, self.hidden_weight):
            nn.init.uniform_(weight, -math.sqrt(6 / (2 * width + n_gates)), math.sqrt(6 / (2 * width + n_gates)))
        nn.init.xavier_uniform_(self.projection)

    def forward(self, inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int]) -> Tuple[Tensor, Tensor, Tensor]:
        """Run over whole sequences.

        inputs (Tensor): Packed, see `recurrence.py`. Shape: (tokens, projection).
        hidden, cell (Tensor): The state before. Shapes: (batch, projection), (batch, cell_width).
        sizes (List[int]): Rows in use at each step, falling.
        RETURNS (Tuple[Tensor, Tensor, Tensor]): Packed outputs r, (tokens, projection); the state after.
        """
        weights = Weights(self.input_weight, self.hidden_weight, self.bias, self.projection)
        settings = Settings(self.cell_clip, self.proj_clip, self.forget_bias, product_dtype(self.bias))
        if torch.is_grad_enabled():
            return recur(inputs, hidden, cell, sizes, weights, settings)
        if self.precision == PRECISIONS[0]:
            prepared = self._prepared.get(self, settings, lambda: prepare(weights, settings, rows=ROWS))
            return run(inputs, hidden, cell, sizes, prepared, settings)
        is_int8 = self.precision == "int8"
        few = settings._replace(dtype=torch.float32 if is_int8 else torch.bfloat16)
        reduced = self._reduced.get(
            self, (few, is_int8), lambda: prepare_reduced(weights, few, rows=ROWS, is_int8=is_int8)
        )
        return run_reduced(inputs, hidden, cell, sizes, reduced, few)


# A config's `cell`: the class of a layer, with the signature of `ProjectedLSTM`.
CELLS: Dict[str, Type[nn.Module]] = {"lstm": ProjectedLSTM, "mogrifier": ProjectedMogrifier}


class LSTMStack(nn.Module):
    """Layers above each other, in the reading order of one direction.

    config (ElmoConfig): Also number of layers, dropout, skip connections and the kind of cell.
    RAISES: ValueError G100 for another kind; for "mogrifier" as `MogrifierOptions`.

    Parameters: `layers.{i}.` and those of the cell.
    """

    def __init__(self, config: "ElmoConfig") -> None:
        super().__init__()
        self.config = config
        if config.cell not in CELLS:
            raise ValueError(Errors.G100.format(name="cell", value=config.cell, options=", ".join(CELLS)))
        self.layers = nn.ModuleList(CELLS[config.cell](config) for _ in range(config.n_layers))

    def forward(
        self, inputs: Tensor, *, mask: Optional[Tensor] = None, state: Optional[State] = None
    ) -> Tuple[List[Tensor], State]:
        """Run every layer over whole sequences.

        inputs (Tensor): Token vectors. Shape: (batch, seq, projection).
        mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
        state (Optional[State]): Each row's state before its first token. None: zero.
        RETURNS (Tuple[List[Tensor], State]): Each layer's outputs, 0 at padding, (batch, seq, projection); the state
            after each row's last real token.
        """
        state = self.initial_state(inputs) if state is None else state
        packing = Packing((inputs.shape[0], inputs.shape[1]), mask)
        hidden, cell = packing.sort(state.hidden), packing.sort(state.cell)
        packed = packing.pack(inputs)  # (tokens, projection)
        layers: List[Tensor] = []
        ends = []
        for index, layer in enumerate(self.layers):
            # bilm-tf also adds the dropped input in the skip connection.
            packed = F.dropout(packed, self.config.dropout, training=self.training)
            outputs, *end = layer(packed, hidden[index], cell[index], packing.sizes)
            packed = outputs + packed if index and self.config.use_skip_connections else outputs
            layers.append(packing.unpack(packed))
            ends.append(end)
        return layers, State(*(packing.restore(torch.stack(parts)) for parts in zip(*ends)))

    def initial_state(self, inputs: Tensor) -> State:
        """Zeros, in the type and on the device of `inputs` (batch, …)."""
        shape = self.config.n_layers, len(inputs)
        return State(
            inputs.new_zeros(*shape, self.config.projection_width), inputs.new_zeros(*shape, self.config.cell_width)
        )
