"""Feature predictor: pass features along the graphs. It exists to train the graphs and is not transferred.

Source: Yang et al. 2018, section 3.1 (feature predictor), with the published GRU composition and the additive one.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from ..gru import gru_cell
from ..products import Linear
from .config import GlomoConfig


class FeaturePredictor(nn.Module):
    """Hierarchical features: each head sends its own slice of the features along its own graph.

    config (GlomoConfig): Width, heads and the composition: one GRU cell shared by all layers, or a sum.
    """

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config
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
        sent = self._values(features, layer).unflatten(-1, (self.config.n_heads, -1)).transpose(1, 2)
        n_fixed = len(fixed)
        parts = []
        if n_fixed:
            parts.append(fixed @ sent[:, :n_fixed])  # (batch, windows, receiver, width / heads)
        if n_fixed < self.config.n_heads:
            parts.append(learned.to(sent.dtype) @ sent[:, n_fixed:])  # (batch, learned heads, receiver, width / heads)
        message = torch.cat(parts, dim=1).transpose(1, 2).flatten(2)  # (batch, receiver, width)
        own = features if receivers is None else features[:, receivers]  # (batch, receiver, width)
        if self.config.feature_predictor == "additive":
            return own + message
        update = torch.cat([message * own, message], dim=-1)  # (batch, receiver, 2 * width)
        return gru_cell(self.gru_cell, update.flatten(0, 1), own.flatten(0, 1)).view_as(own)

    def _values(self, features: Tensor, layer: int) -> Tensor:
        if self.config.feature_predictor == "additive" and self.config.use_value:
            return self.values[layer](features)
        return features
