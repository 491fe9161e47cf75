"""Layers above each other, with their dropout: the body of a recurrent language model.

Source: Melis et al. 2020, section 4, and deepmind/lamb: each mask of dropout is drawn once per sequence and call (Gal
and Ghahramani 2016), and by default the layers' outputs are summed.
"""

from typing import List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from ..packing import Packing
from .cell import MogrifierLSTM
from .config import MogrifierConfig
from .gru import GRULayer
from .rnn import RNNLayer


class State(NamedTuple):
    """What a stack remembers of each row.

    hidden (Tensor): Last outputs. Shape: (layers, batch, output width).
    cell (Tensor): Cells, of width 0 where the layers have none. Shape: (layers, batch, cell).
    """

    hidden: Tensor
    cell: Tensor


class Stack(nn.Module):
    """Recurrent layers of any kind.

    config (MogrifierConfig): Kind, widths and dropout.

    Parameters: `layers.{i}.` and those of the layer.
    """

    def __init__(self, config: MogrifierConfig) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(new_layer(config, number) for number in range(config.n_layers))

    def forward(self, inputs: Tensor, state: State, *, mask: Optional[Tensor] = None) -> Tuple[Tensor, State]:
        """Run every layer over whole sequences.

        inputs (Tensor): Word vectors. Shape: (batch, seq, embedding).
        state (State): Each row's state before its first word.
        mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
        RETURNS (Tuple[Tensor, State]): Outputs, 0 at padding, (batch, seq, output width); the state after each row's
            last real token.
        """
        config, packing = self.config, Packing((inputs.shape[0], inputs.shape[1]), mask)
        hidden, cell = packing.sort(state.hidden), packing.sort(state.cell)
        packed = packing.pack(inputs)  # (tokens, embedding)
        found: List[Tensor] = []
        ends: List[List[Tensor]] = []
        for index, layer in enumerate(self.layers):
            rate = config.layer_dropout if index else config.input_dropout
            packed = self._drop(packed, packing.sizes, rate)
            mask_of_state = self._keep(hidden[index], config.state_dropout)
            packed, *end = layer(packed, hidden[index], cell[index], packing.sizes, state_mask=mask_of_state)
            found.append(packed)
            ends.append(end)
        total = sum(found[1:], found[0]) if config.outputs == "sum" else packed
        return packing.unpack(total), State(*(packing.restore(torch.stack(parts)) for parts in zip(*ends)))

    def _drop(self, packed: Tensor, sizes: List[int], rate: float) -> Tensor:
        """Drop whole channels of each sequence. Shape: (tokens, width)."""
        keep = self._keep(packed[: max(sizes, default=0)], rate)  # (batch, width)
        return packed if keep is None or not sizes else packed * torch.cat([keep[:size] for size in sizes])

    def _keep(self, like: Tensor, rate: float) -> Optional[Tensor]:
        """Factors 0 and 1 / (1 - rate), in training only. Shape: that of `like`, (batch, width)."""
        if not self.training or rate == 0.0:
            return None
        return torch.empty_like(like).bernoulli_(1.0 - rate).div_(1.0 - rate)


def new_layer(config: MogrifierConfig, number: int) -> nn.Module:
    """One layer of the kind that `config.cell` names, with the signature of `MogrifierLSTM`."""
    if config.is_lstm:
        return MogrifierLSTM(config.cell_settings(number))
    n_in = config.hidden_width if number else config.embedding_width
    if config.cell == "gru":
        return GRULayer(n_in, config.hidden_width)
    return RNNLayer(n_in, config.hidden_width, activation=config.cell.removeprefix("rnn-"))
