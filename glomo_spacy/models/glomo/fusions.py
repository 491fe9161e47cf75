"""Fusions: how what a token receives joins what was there.

Source: Yang et al. 2018, "Latent Graph Transfer", and option `gate_fuse` of kimiyoung/glomo's reader
(`squad/model_t.py`). x is a token's own row, s_1 ... s_n are the n features it received, all of width D.
"""

from typing import Dict, Optional, Type

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..dropout import locked_dropout
from ..gru import gru_cell
from ..packing import TextPacking
from ..products import Linear


class Fusion(nn.Module):
    """Join each token's own row with the features it received; subclasses are the named variants.

    width (int): D.
    n_features (int): n, features received per token.
    """

    def __init__(self, width: int, n_features: int) -> None:
        super().__init__()

    @staticmethod
    def n_rows(n_features: int) -> int:
        """Width of the result, as a multiple of D."""
        raise NotImplementedError

    def forward(
        self, own: Tensor, received: Tensor, *, dropout: float, packing: Optional[TextPacking] = None
    ) -> Tensor:
        """Fuse token by token.

        own (Tensor): Shape: (tokens, width) or (batch, seq, width).
        received (Tensor): Shape: (..., n_features * width).
        dropout (float): Rate in training, 0 in prediction; the mask of a text is locked.
        packing (Optional[TextPacking]): Whose text each of the tokens is; without it, each has a mask of its own.
        RETURNS (Tensor): The row itself and what joins it. Shape: (..., width * n_rows).
        """
        raise NotImplementedError


class ConcatenateFusion(Fusion):
    """The row and all received features side by side (`gate_fuse 0`): [x; s_1; ...; s_n]."""

    @staticmethod
    def n_rows(n_features: int) -> int:
        return 1 + n_features

    def forward(
        self, own: Tensor, received: Tensor, *, dropout: float, packing: Optional[TextPacking] = None
    ) -> Tensor:
        return torch.cat([own, received], dim=-1)


class GRUFusion(Fusion):
    """The row beside its state after one step of a GRU (`gate_fuse 1`): [x; GRU(input [s_1; ...; s_n], state x)]."""

    def __init__(self, width: int, n_features: int) -> None:
        super().__init__(width, n_features)
        self.cell = nn.GRUCell(n_features * width, width)

    @staticmethod
    def n_rows(n_features: int) -> int:
        return 2

    def forward(
        self, own: Tensor, received: Tensor, *, dropout: float, packing: Optional[TextPacking] = None
    ) -> Tensor:
        inputs = _dropped(received, dropout, packing)
        state = _dropped(own, dropout, packing)
        updated = gru_cell(self.cell, inputs.flatten(0, -2), state.flatten(0, -2))  # (tokens, width)
        return torch.cat([own, updated.view_as(own)], dim=-1)


class GateFusion(Fusion):
    """The row beside a gated summary (`gate_fuse 2`): [x; (W z + b) * sigmoid(V z + c)], z = dropout([x; s_1; ...])."""

    def __init__(self, width: int, n_features: int) -> None:
        super().__init__(width, n_features)
        gated_width = width * (self.n_rows(n_features) - 1)
        self.value = Linear(width * (1 + n_features), gated_width)
        self.gate = Linear(width * (1 + n_features), gated_width)

    @staticmethod
    def n_rows(n_features: int) -> int:
        return 2

    def forward(
        self, own: Tensor, received: Tensor, *, dropout: float, packing: Optional[TextPacking] = None
    ) -> Tensor:
        both = _dropped(torch.cat([own, received], dim=-1), dropout, packing)
        gated = self.value(both) * self.gate(both).sigmoid()  # (..., gated width)
        return torch.cat([own, gated], dim=-1)


class GateProductsFusion(GateFusion):
    """The gate for candidates with products (`gate_fuse 3`, published), wider with more mixes: D * max(1, n // 4)."""

    @staticmethod
    def n_rows(n_features: int) -> int:
        return 1 + max(1, n_features // 4)  # published as max(1, floor(mixes / 2)), two features per mix


def _dropped(rows: Tensor, rate: float, packing: Optional[TextPacking]) -> Tensor:
    """Dropout with one mask per text, as far as it is known which row is whose."""
    if packing is not None:
        return packing.drop(rows, rate)
    if rows.dim() == 3:
        return locked_dropout(rows, rate, is_train=rate > 0.0)
    return F.dropout(rows, rate, training=rate > 0.0)


FUSIONS: Dict[str, Type[Fusion]] = {
    "concatenate": ConcatenateFusion,
    "gru": GRUFusion,
    "gate": GateFusion,
    "gate-products": GateProductsFusion,
}
