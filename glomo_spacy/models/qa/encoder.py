"""The reader's recurrent layer: a bidirectional GRU with a learned first state, whose padding never matters.

Source: the reader of kimiyoung/glomo. There the question was not packed, so that padding leaked into the states of the
right-to-left direction; here both directions read exactly the real tokens.
"""

from typing import List

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..dropout import locked_dropout
from ..masking import lengths_of, reversal_index
from ..packing import Packing
from ..products import linear
from .recurrence import run_gru


class Encoder(nn.Module):
    """Read sequences in both directions.

    input_width (int): Width of a token's row.
    width (int): States per direction.
    """

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(input_width, width, batch_first=True, bidirectional=True)
        self.first_state = nn.Parameter(torch.zeros(2, width))

    def forward(self, rows: Tensor, mask: Tensor, *, dropout: float = 0.0) -> Tensor:
        """Drop channels, then read.

        rows (Tensor): Anything at padding. Shape: (batch, seq, input_width).
        mask (Tensor): True for real tokens, padding at the right, no sequence empty. Shape: (batch, seq).
        dropout (float): Locked; the rate in training, 0 in prediction.
        RETURNS (Tensor): Left-to-right and right-to-left states side by side, 0 at padding.
            Shape: (batch, seq, 2 * width).
        """
        rows = locked_dropout(rows, dropout, is_train=dropout > 0.0)
        if rows.device.type == "cpu":
            return self._read_packed(rows, mask)
        return self._read_natively(rows, mask)

    def _read_packed(self, rows: Tensor, mask: Tensor) -> Tensor:
        batch, seq, _ = rows.shape
        packing = Packing((batch, seq), mask)
        packed = packing.pack(rows)  # (tokens, input_width)
        reversal = _packed_reversal(packing, mask)  # (tokens,)
        left, right = self._parameters_of("weight_ih_l0", "bias_ih_l0")
        from_inputs = torch.stack([linear(packed, *left), linear(packed, *right)[reversal]])
        weight, bias = map(torch.stack, zip(*self._parameters_of("weight_hh_l0", "bias_hh_l0")))
        state = self.first_state[:, None].expand(-1, packing.sizes[0] if packing.sizes else 0, -1)
        states = run_gru(from_inputs, weight, bias, state, packing.sizes)  # (2, tokens, width)
        both = torch.cat([states[0], states[1][reversal]], dim=-1)  # (tokens, 2 * width)
        return packing.unpack(both)

    def _read_natively(self, rows: Tensor, mask: Tensor) -> Tensor:
        """By the library of the device, which is quicker there."""
        packed = pack_padded_sequence(rows, lengths_of(mask).cpu(), batch_first=True, enforce_sorted=False)
        state = self.first_state[:, None].expand(-1, len(rows), -1).to(rows.dtype).contiguous()
        states, _ = self.gru(packed, state)
        return pad_packed_sequence(states, batch_first=True, total_length=rows.shape[1])[0]

    def _parameters_of(self, *names: str) -> List[List[Tensor]]:
        """The parameters of these names for each direction."""
        return [[getattr(self.gru, name + suffix) for name in names] for suffix in ("", "_reverse")]


def _packed_reversal(packing: Packing, mask: Tensor) -> Tensor:
    """For each packed token, where the token stands that takes its place in reverse order; its own inverse."""
    batch, seq = mask.shape
    places = torch.empty(batch * seq, dtype=torch.int64)
    tokens = packing.pack(torch.arange(batch * seq).view(batch, seq, 1)).squeeze(1)  # (tokens,), in the flat batch
    places[tokens] = torch.arange(len(tokens))
    mirrored = reversal_index(mask) + seq * torch.arange(batch)[:, None]  # (batch, seq), in the flat batch
    return places[mirrored.flatten()[tokens]]
