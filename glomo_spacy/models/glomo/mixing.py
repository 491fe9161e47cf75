"""Graph transfer: mix candidate graphs, let features flow along the mixture, fuse what arrives with what was there.

Source: Yang et al. 2018, "Latent Graph Transfer", and the reader of kimiyoung/glomo (`squad/model_t.py`). The graphs
are frozen and used as they are, neither pruned nor renormalised; only the mixture, the scales and the fusion learn.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Dict, Iterable, List, Type

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Errors
from ..dropout import locked_dropout

N_DIRECTIONS = 2  # left graphs (forward predictor) and right graphs (backward predictor)


@dataclass(frozen=True)
class TransferConfig:
    """Everything needed to build a `GraphTransfer`.

    width (int): Width D of the features that flow along the graphs, > 0.
    n_layers (int): Graph layers L per direction. Published: 3.
    n_heads (int): Graphs K per layer. Published: 8. The candidates per direction are the L * K plain graphs.
    mixture (str): "uniform" (nothing learned), "free" (one learned mixture for all positions, `condition 0`) or
        "conditioned" (each position chooses its own, `condition 1`, published).
    n_mixes (int): Independent mixtures per direction, `att_cnt`. Published: 2.
    fusion (str): "concatenate" (`gate_fuse 0`) or "gate" (`gate_fuse 2`).
    """

    width: int
    n_layers: int
    n_heads: int
    mixture: str = "conditioned"
    n_mixes: int = 1
    fusion: str = "concatenate"

    def __post_init__(self) -> None:
        for name in ("width", "n_layers", "n_heads", "n_mixes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(Errors.G101.format(name=name, expected="a whole number above 0", value=value))
        for name, options in (("mixture", tuple(MIXTURES)), ("fusion", tuple(FUSIONS))):
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))

    @property
    def n_features(self) -> int:
        """Transferred features per token, each `width` wide: directions x mixes."""
        return N_DIRECTIONS * self.n_mixes

    @property
    def output_width(self) -> int:
        """Width of a fused row."""
        return self.width * FUSIONS[self.fusion].n_rows(self.n_features)


@dataclass(frozen=True)
class GraphWindows:
    """Windows of about equal length, padded at the right, with their graphs.

    positions (Tensor): The row of the features that stands at each place; any valid row at padding. int64.
        Shape: (batch, seq).
    is_kept (Tensor): True where the result is taken from this window: once for each token, never at padding. Where
        windows overlap, the more central place counts. Shape: (batch, seq).
    layers (Iterable[Tensor]): Left layers bottom to top, then right layers; rows and columns of padding are 0. An
        iterator keeps memory at one layer's. Shape of each: (batch, heads, receiver, source).
    """

    positions: Tensor
    is_kept: Tensor
    layers: Iterable[Tensor]


class GraphTransfer(nn.Module):
    """Give each token what its related tokens hold: fuse(x, scale * (mixed graph) x), in both directions.

    config (TransferConfig): Widths, the kind of mixture and the fusion.
    """

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()
        self.config = config
        self.mixture = MIXTURES[config.mixture](config)
        self.scales = nn.Parameter(torch.ones(N_DIRECTIONS, config.n_mixes))
        self.fusion = FUSIONS[config.fusion](config)

    def forward(self, features: Tensor, windows: Iterable[GraphWindows], *, dropout: float = 0.0) -> Tensor:
        """Transfer within each window, then fuse token by token.

        features (Tensor): One row per token, all texts one after the other. Shape: (tokens, width).
        windows (Iterable[GraphWindows]): Drawn one at a time, so that prediction never holds more than one bucket's
            graphs. Tokens that no window keeps receive 0.
        dropout (float): Rate in training, 0 in prediction; explicit, because a module's training flag is not safe to
            toggle between threads.
        RETURNS (Tensor): Shape: (tokens, output_width).
        """
        received: List[Tensor] = []
        receivers: List[Tensor] = []
        for window in windows:
            rows = self._transfer(features[window.positions], window.layers, dropout)
            received.append(rows[window.is_kept])
            receivers.append(window.positions[window.is_kept])
        transferred = features.new_zeros(len(features), self.config.n_features * self.config.width)
        if received:
            transferred = transferred.index_copy(0, torch.cat(receivers), torch.cat(received))
        return self.fusion(features, transferred, dropout=dropout)

    def _transfer(self, features: Tensor, layers: Iterable[Tensor], dropout: float) -> Tensor:
        """features: (batch, seq, width); layers as in `GraphWindows`; result: (batch, seq, n_features * width)."""
        weights = self.mixture(features, dropout=dropout)
        mixed = mix_graphs(layers, weights)  # (batch, directions, mixes, receiver, source)
        arriving = mixed @ features[:, None, None]  # (batch, directions, mixes, receiver, width)
        arriving = arriving * self.scales[:, :, None, None]
        return arriving.permute(0, 3, 1, 2, 4).flatten(2)  # (batch, receiver, n_features * width)


def mix_graphs(layers: Iterable[Tensor], weights: Tensor) -> Tensor:
    """Mixed graph of each direction: G[i, j] = sum over m of w_m(i) C_m[i, j], over the plain graphs of all layers.

    layers (Iterable[Tensor]): Left layers, then right layers, used one at a time.
        Shape of each: (batch, heads, receiver, source).
    weights (Tensor): Sum to 1 over layers and heads. Shape: (batch, receiver, directions, mixes, layers, heads), or
        (directions, mixes, layers, heads) if all positions share them.
    RETURNS (Tensor): Shape: (batch, directions, mixes, receiver, source).
    """
    equation = "bhij,mh->bmij" if weights.dim() == 4 else "bhij,bimh->bmij"
    graphs = iter(layers)
    mixed = []
    for direction in range(N_DIRECTIONS):
        shares = weights[..., direction, :, :, :].unbind(-2)  # layers of (batch, receiver, mixes, heads)
        mixed.append(reduce(torch.add, (torch.einsum(equation, next(graphs), share) for share in shares)))
    return torch.stack(mixed, dim=1)


# --- Mixtures: which candidate counts how much ----------------------------------------------------------------------


class Mixture(nn.Module):
    """Weights of the candidate graphs for each direction and mix."""

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()
        self.shape = (N_DIRECTIONS, config.n_mixes, config.n_layers, config.n_heads)

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        """Weights as `mix_graphs` takes them.

        features (Tensor): Shape: (batch, seq, width).
        dropout (float): Rate in training, 0 in prediction.
        """
        raise NotImplementedError


class UniformMixture(Mixture):
    """Every candidate counts the same; nothing is learned."""

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        n_layers, n_heads = self.shape[2:]
        return features.new_full(self.shape, 1.0 / (n_layers * n_heads))  # (directions, mixes, layers, heads)


class FreeMixture(Mixture):
    """One learned mixture for all positions: softmax over free logits, initially 0."""

    def __init__(self, config: TransferConfig) -> None:
        super().__init__(config)
        self.logits = nn.Parameter(torch.zeros(self.shape))

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        return self.logits.flatten(2).softmax(-1).view(self.shape)  # (directions, mixes, layers, heads)


class ConditionedMixture(Mixture):
    """Each position has its own mixture: softmax of Linear(locked dropout(x_i))."""

    def __init__(self, config: TransferConfig) -> None:
        super().__init__(config)
        self.logits = nn.Linear(config.width, math.prod(self.shape))

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        logits = self.logits(locked_dropout(features, dropout, is_train=dropout > 0.0))
        logits = logits.unflatten(-1, (*self.shape[:2], -1))  # (batch, seq, directions, mixes, layers * heads)
        return logits.softmax(-1).unflatten(-1, self.shape[2:])  # (batch, seq, directions, mixes, layers, heads)


# --- Fusions: how what arrives joins what was there -----------------------------------------------------------------


class Fusion(nn.Module):
    """Join each token's own row with the features it received."""

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()

    @staticmethod
    def n_rows(n_features: int) -> int:
        """Width of the result, as a multiple of the width of a token's own row."""
        raise NotImplementedError

    def forward(self, own: Tensor, received: Tensor, *, dropout: float) -> Tensor:
        """Fuse token by token.

        own (Tensor): Shape: (tokens, width).
        received (Tensor): Shape: (tokens, n_features * width).
        dropout (float): Rate in training, 0 in prediction.
        RETURNS (Tensor): Shape: (tokens, width * n_rows).
        """
        raise NotImplementedError


class ConcatenateFusion(Fusion):
    """The row and all received features side by side: [x; s_1; ...; s_n]."""

    @staticmethod
    def n_rows(n_features: int) -> int:
        return 1 + n_features

    def forward(self, own: Tensor, received: Tensor, *, dropout: float) -> Tensor:
        return torch.cat([own, received], dim=-1)


class GateFusion(Fusion):
    """The row beside a gated summary of everything: [x; (W z + b) * sigmoid(V z + c)], z = dropout([x; s_1; ...])."""

    def __init__(self, config: TransferConfig) -> None:
        super().__init__(config)
        input_width = config.width * (1 + config.n_features)
        self.value = nn.Linear(input_width, config.width)
        self.gate = nn.Linear(input_width, config.width)

    @staticmethod
    def n_rows(n_features: int) -> int:
        return 2

    def forward(self, own: Tensor, received: Tensor, *, dropout: float) -> Tensor:
        both = F.dropout(torch.cat([own, received], dim=-1), dropout, training=dropout > 0.0)
        gated = self.value(both) * self.gate(both).sigmoid()  # (tokens, width)
        return torch.cat([own, gated], dim=-1)


MIXTURES: Dict[str, Type[Mixture]] = {
    "uniform": UniformMixture,
    "free": FreeMixture,
    "conditioned": ConditionedMixture,
}
FUSIONS: Dict[str, Type[Fusion]] = {
    "concatenate": ConcatenateFusion,
    "gate": GateFusion,
}
