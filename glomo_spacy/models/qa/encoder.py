"""The reader's recurrent layer: a bidirectional GRU with a learned first state, whose padding never matters.

Source: the reader of kimiyoung/glomo. There the question was not packed, so that padding leaked into the states of the
right-to-left direction; here both directions read exactly the real tokens.
"""

from typing import List

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..memory import keep_freed_memory
from ..packing import TextPacking
from ..products import linear
from .recurrence import run_gru


class Encoder(nn.Module):
    """Read texts in both directions.

    input_width (int): Width of a token's row.
    width (int): States per direction.
    """

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(input_width, width, bidirectional=True)
        self.first_state = nn.Parameter(torch.zeros(2, width))

    def forward(self, rows: Tensor, packing: TextPacking, *, dropout: float = 0.0) -> Tensor:
        """Drop channels, then read.

        rows (Tensor): Shape: (tokens, input_width).
        packing (TextPacking): How the texts are packed.
        dropout (float): Locked; the rate in training, 0 in prediction.
        RETURNS (Tensor): Left-to-right and right-to-left states side by side. Shape: (tokens, 2 * width).
        """
        rows = packing.drop(rows, dropout)
        n_rows = packing.sizes[0] if packing.sizes else 0
        state = self.first_state[:, None].expand(-1, n_rows, -1)
        if rows.device.type == "cpu":
            return self._read_here(rows, state, packing)
        return self._read_natively(rows, state, packing)

    def _read_here(self, rows: Tensor, state: Tensor, packing: TextPacking) -> Tensor:
        keep_freed_memory()
        mirrored = packing.mirrored()  # (tokens,)
        left, right = self._parameters_of("weight_ih_l0", "bias_ih_l0")
        from_inputs = torch.stack([linear(rows, *left), linear(rows, *right)[mirrored]])  # (2, tokens, 3 * width)
        weight, bias = map(torch.stack, zip(*self._parameters_of("weight_hh_l0", "bias_hh_l0")))
        states = run_gru(from_inputs, weight, bias, state, packing.sizes)  # (2, tokens, width)
        return torch.cat([states[0], states[1][mirrored]], dim=-1)

    def _read_natively(self, rows: Tensor, state: Tensor, packing: TextPacking) -> Tensor:
        """By the library of the device, which is quicker there."""
        packed = PackedSequence(rows, torch.tensor(packing.sizes))
        states, _ = self.gru(packed, state.to(rows.dtype).contiguous())
        data: Tensor = states.data
        return data

    def _parameters_of(self, *names: str) -> List[List[Tensor]]:
        """The parameters of these names for each direction."""
        return [[getattr(self.gru, name + suffix) for name in names] for suffix in ("", "_reverse")]
