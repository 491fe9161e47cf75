"""Graph transfer: mix candidate graphs, let features flow along the mixture, fuse what arrives with what was there.

Source: Yang et al. 2018, "Latent Graph Transfer", and the reader of kimiyoung/glomo (`squad/model_t.py`). The graphs
are frozen and used as they are, neither pruned nor renormalised; only the mixture, the scales and the fusion learn.
"""

from dataclasses import dataclass
from typing import Iterable, List, Optional

import torch
from torch import Tensor, nn

from ...errors import Errors
from ..packing import TextPacking
from .candidates import N_DIRECTIONS, candidate_names, mix_graphs, receive
from .fusions import FUSIONS
from .mixtures import MIXTURES

CANDIDATES = ("plain", "products")
GRAPHS = ("learned", "uniform")
_PRODUCTS_FUSION = "gate-products"  # the one fusion that says which candidates it is for


@dataclass(frozen=True)
class TransferConfig:
    """Everything needed to build a `GraphTransfer`.

    The published forms: `gate_fuse` 0 is fusion "concatenate", 1 "gru", 2 "gate", all with plain candidates; 3 is
    "gate-products" with products.

    width (int): Width D of the features that flow along the graphs, > 0.
    n_layers (int): Graph layers L per direction. Published: 3.
    n_heads (int): Graphs K per layer. Published: 8.
    mixture (str): "uniform" (nothing learned), "free" (one learned mixture for all positions, `condition 0`) or
        "conditioned" (each position chooses its own, `condition 1`, published).
    n_mixes (int): Independent mixtures per direction, `att_cnt`. Published: 2.
    fusion (str): How a token's row and what it received are joined, see `fusions`: "concatenate", "gru", "gate" or
        "gate-products" (published), whose gate is wider with more mixes.
    candidates (Optional[str]): "plain": the L * K graphs; "products": products across layers too, (2 * L - 1) * K.
        None: what the fusion is for, products for "gate-products" and else plain.
    graph (str): "learned", or "uniform", the control: each token receives the mean of all tokens of its text, one
        feature without direction; n_layers, n_heads, mixture, n_mixes and candidates have no effect.
    RAISES: ValueError G100 or G101 for a setting that is not available, G112 for "gate-products" with plain candidates.
    """

    width: int
    n_layers: int
    n_heads: int
    mixture: str = "conditioned"
    n_mixes: int = 1
    fusion: str = "concatenate"
    candidates: Optional[str] = None
    graph: str = "learned"

    def __post_init__(self) -> None:
        wanted = "products" if self.fusion == _PRODUCTS_FUSION else "plain"
        if self.candidates is None:
            object.__setattr__(self, "candidates", wanted)
        for name, options in (
            ("mixture", tuple(MIXTURES)),
            ("fusion", tuple(FUSIONS)),
            ("candidates", CANDIDATES),
            ("graph", GRAPHS),
        ):
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))
        for name in ("width", *(() if self.is_uniform else ("n_layers", "n_heads", "n_mixes"))):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(Errors.G101.format(name=name, expected="a whole number above 0", value=value))
        if self.fusion == _PRODUCTS_FUSION and self.candidates != wanted:
            raise ValueError(Errors.G112.format(fusion=self.fusion, candidates=self.candidates))

    @property
    def is_uniform(self) -> bool:
        """Whether this is the control without learned graphs."""
        return self.graph == "uniform"

    @property
    def with_products(self) -> bool:
        """Whether products across layers are among the candidates."""
        return self.candidates == "products"

    @property
    def candidate_names(self) -> List[str]:
        """What the candidates of each head are, in their order: "G1", "G2", "G2 G1", ..."""
        return candidate_names(self.n_layers, with_products=self.with_products)

    @property
    def n_features(self) -> int:
        """Transferred features per token, each `width` wide: directions x mixes, or 1 for the uniform graph."""
        return 1 if self.is_uniform else N_DIRECTIONS * self.n_mixes

    @property
    def output_width(self) -> int:
        """Width of a fused row."""
        return self.width * FUSIONS[self.fusion].n_rows(self.n_features)


@dataclass(frozen=True)
class GraphWindows:
    """Windows of about equal length, padded at the right, with their graphs.

    positions (Tensor): The row of the features that stands at each place; any valid row at padding. int64.
        Shape: (batch, seq).
    mask (Tensor): True for real tokens. Shape: (batch, seq).
    is_kept (Tensor): True where the result is taken from this window: once for each token, never at padding. Where
        windows overlap, the more central place counts. Shape: (batch, seq).
    layers (Iterable[Tensor]): Left layers bottom to top, then right layers; rows and columns of padding are 0. An
        iterator keeps memory at one layer's, or two with products. The uniform graph needs none.
        Shape of each: (batch, heads, receiver, source).
    """

    positions: Tensor
    mask: Tensor
    is_kept: Tensor
    layers: Iterable[Tensor] = ()


class GraphTransfer(nn.Module):
    """Give each token what its related tokens hold: fuse(x, scale * (mixed graph) x), in both directions.

    config (TransferConfig): Widths, candidates, the kind of mixture and the fusion.
    """

    def __init__(self, config: TransferConfig) -> None:
        super().__init__()
        self.config = config
        if not config.is_uniform:
            shape = (N_DIRECTIONS, config.n_mixes, len(config.candidate_names), config.n_heads)
            self.mixture = MIXTURES[config.mixture](shape, config.width)
            self.scales = nn.Parameter(torch.ones(N_DIRECTIONS, config.n_mixes))
        self.fusion = FUSIONS[config.fusion](config.width, config.n_features)

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
            positions, mask, is_kept = (
                places.to(features.device) for places in (window.positions, window.mask, window.is_kept)
            )
            rows = self.batched(features[positions], window.layers, mask, dropout=dropout)
            received.append(rows[is_kept])
            receivers.append(positions[is_kept])
        transferred = features.new_zeros(len(features), self.config.n_features * self.config.width)
        if received:
            transferred = transferred.index_copy(0, torch.cat(receivers), torch.cat(received))
        return self.fuse(features, transferred, dropout=dropout)

    def batched(self, features: Tensor, layers: Iterable[Tensor], mask: Tensor, *, dropout: float = 0.0) -> Tensor:
        """What each token of a padded batch receives.

        features (Tensor): Shape: (batch, seq, width).
        layers, mask: As in `GraphWindows`.
        dropout (float): Rate on the input of conditioned weights in training, 0 in prediction.
        RETURNS (Tensor): Left mixes, then right mixes; padding receives 0. Shape: (batch, seq, n_features * width).
        RAISES: ValueError G103 if the mask does not fit the features, G114 for other layers or heads than configured.
        """
        if mask.shape != features.shape[:2]:
            raise ValueError(Errors.G103.format(mask=tuple(mask.shape), ids=tuple(features.shape[:2])))
        if self.config.is_uniform:
            mean = _uniform_shares(mask, like=features)[:, None] @ features  # (batch, 1, width)
            return mean * mask[..., None]
        weights = self.mixture(features, dropout=dropout)
        arriving = receive(features, layers, weights, with_products=self.config.with_products)
        return (arriving * self.scales[..., None]).flatten(2)

    def fuse(
        self, own: Tensor, received: Tensor, dropout: float = 0.0, *, packing: Optional[TextPacking] = None
    ) -> Tensor:
        """Join each token's own row with what it received.

        own (Tensor): Shape: (tokens, width) or (batch, seq, width).
        received (Tensor): Shape: (..., n_features * width).
        dropout (float): Rate on the input of gates in training, 0 in prediction; locked where texts are told apart.
        packing (Optional[TextPacking]): Whose text each of the tokens is, if they are packed.
        RETURNS (Tensor): The row itself first. Shape: (..., output_width).
        """
        fused: Tensor = self.fusion(own, received, dropout=dropout, packing=packing)
        return fused

    def packed(self, rows: Tensor, layers: Iterable[Tensor], packing: TextPacking, *, dropout: float = 0.0) -> Tensor:
        """Transfer and fuse packed texts: what needs a row per real token alone is not done for padding.

        rows (Tensor): Shape: (tokens, width).
        layers: As in `GraphWindows`.
        packing (TextPacking): How the texts are packed.
        dropout (float): Rate in training, 0 in prediction.
        RETURNS (Tensor): Shape: (tokens, output_width).
        """
        received = self.batched(packing.unpack(rows), layers, packing.mask, dropout=dropout)
        return self.fuse(rows, packing.pack(received), dropout, packing=packing)

    def mixed_graph(self, features: Tensor, layers: Iterable[Tensor], mask: Tensor) -> Tensor:
        """The graphs along which features flow, before their scales, to be looked at.

        features, layers, mask: As for `batched`.
        RETURNS (Tensor): Rows sum to at most 1; padding is 0. Shape: (batch, directions, mixes, receiver, source), of
            which the uniform graph is one.
        """
        if self.config.is_uniform:
            shares = _uniform_shares(mask, like=features)  # (batch, source)
            return (mask[:, :, None] * shares[:, None])[:, None, None]
        weights = self.mixture(features, dropout=0.0)
        return mix_graphs(layers, weights, with_products=self.config.with_products).permute(0, 2, 3, 1, 4)


def _uniform_shares(mask: Tensor, *, like: Tensor) -> Tensor:
    """The row of the uniform graph: each real token counts the same, padding 0. Shape: (batch, source).

    Published: the sum over tokens divided by the padded length; here by the text's own, so that padding has no effect.
    """
    return mask.to(like) / mask.sum(1, keepdim=True).clamp(min=1)
