"""Feature predictor: pass features along the graphs. It exists to train the graphs and is not transferred.

Source: Yang et al. 2018, section 3.1 (feature predictor), with the published GRU composition and the additive one.
"""

from itertools import groupby
from typing import List, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ..gru import gru_cell
from ..products import Linear
from .config import GlomoConfig


class HeadGroup(NamedTuple):
    """Neighbouring heads of one kind that send as much each, so that one product serves them all.

    is_fixed (bool): Windows, not learned.
    heads (slice): Among the heads of their kind.
    channels (slice): What they send together.
    """

    is_fixed: bool
    heads: slice
    channels: slice


class FeaturePredictor(nn.Module):
    """Hierarchical features: each head sends its own slice of the features along its own graph.

    config (GlomoConfig): Width, heads and the composition: one GRU cell shared by all layers, or a sum.
    """

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config
        self._groups = _head_groups(config)
        if config.feature_predictor == "gru":
            self.gru_cell = nn.GRUCell(2 * config.width, config.width)
        elif config.use_value:
            self.values = nn.ModuleList(Linear(config.width, config.width) for _ in range(config.n_layers))

    def forward(
        self, features: Tensor, learned: Tensor, fixed: Tensor, layer: int, *, receivers: Optional[Tensor] = None
    ) -> Tensor:
        """Features of the next layer, at all positions or at those of `receivers`.

        features (Tensor): f^(l-1). Shape: (batch, seq, width).
        learned (Tensor): Shape: (batch, learned heads, receiver, source).
        fixed (Tensor): Shape: (windows, receiver, source).
        layer (int): l - 1, counted from 0.
        receivers (Optional[Tensor]): Positions of the rows. Shape: (receiver,).
        RETURNS (Tensor): f^l. Shape: (batch, receiver, width).
        """
        sent = self._values(features, layer)  # (batch, seq, width)
        parts = []
        for is_fixed, heads, channels in self._groups:
            graphs = fixed[heads] if is_fixed else learned[:, heads]  # (..., heads, receiver, source)
            by_head = sent[..., channels].unflatten(-1, (graphs.shape[-3], -1)).transpose(1, 2)
            parts.append((graphs.to(sent.dtype) @ by_head).transpose(1, 2).flatten(2))  # (batch, receiver, channels)
        message = torch.cat(parts, dim=-1)  # (batch, receiver, width)
        own = features if receivers is None else features[:, receivers]  # (batch, receiver, width)
        if self.config.feature_predictor == "additive":
            return own + message
        update = torch.cat([message * own, message], dim=-1)  # (batch, receiver, 2 * width)
        return gru_cell(self.gru_cell, update.flatten(0, 1), own.flatten(0, 1)).view_as(own)

    def _values(self, features: Tensor, layer: int) -> Tensor:
        if self.config.feature_predictor == "additive" and self.config.use_value:
            return self.values[layer](features)
        return features


def _head_groups(config: GlomoConfig) -> List[HeadGroup]:
    n_fixed, groups, channel = len(config.fixed_windows), [], 0
    kinds = [(head < n_fixed, n_channels) for head, n_channels in enumerate(config.channels)]
    head = 0
    for (is_fixed, n_channels), members in groupby(kinds):
        n_heads, first = len(list(members)), head if is_fixed else head - n_fixed
        channels = slice(channel, channel + n_heads * n_channels)
        groups.append(HeadGroup(is_fixed, slice(first, first + n_heads), channels))
        head, channel = head + n_heads, channels.stop
    return groups
