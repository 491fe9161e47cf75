"""From keys and queries to relational graphs: affinity scores, sparsity, one graph per layer and head.

Source: Yang et al. 2018, section 3.1, equation 1; its sparsity is in `sparsity.py`. Receivers attend to strictly
earlier tokens; the other direction is the same network on the reversed text.
"""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..products import Linear
from .config import WHOLE_PAST, GlomoConfig
from .encoders import KeyCNN, MaskedBatchNorm, QueryCNN
from .sparsity import SPARSITY_CLASSES, Scores

NEARNESS_EDGES = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72, 108)  # each range of distances ends where the next begins


class Nearness(nn.Module):
    """What distance alone says of an edge: one number per head and range of distances, at first 0, learned.

    An extension: scores know nothing of order, so that "the word before" is out of reach for them.

    config (GlomoConfig): Layers and learned heads.
    """

    edges: Tensor

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.register_buffer("edges", torch.tensor(NEARNESS_EDGES), persistent=False)
        self.weights = nn.Parameter(torch.zeros(config.n_layers, config.n_learned_heads, len(NEARNESS_EDGES)))

    def forward(self, distance: Tensor, layer: int) -> Tensor:
        """distance (Tensor): Tokens from receiver to source, from 1 on where it counts; any shape.

        RETURNS (Tensor): Shape: (heads, ...).
        """
        place = torch.bucketize(distance.clamp(min=1), self.edges, right=True) - 1
        nearness: Tensor = self.weights[layer][:, place]
        return nearness


class GraphPredictor(nn.Module):
    """Graphs of one direction: encoders shared by all layers, one affinity per layer.

    config (GlomoConfig): Sizes and variant. With `fixed_windows` only the remaining heads are learned.
    """

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config
        if config.n_learned_heads == 0:
            return
        affinity_width = config.n_learned_heads * config.key_width
        self.key_cnn = KeyCNN(config)
        self.query_cnn = QueryCNN(config)
        self.keys = nn.ModuleList(Linear(config.width, affinity_width) for _ in range(config.n_layers))
        self.queries = nn.ModuleList(Linear(config.width, affinity_width) for _ in range(config.n_layers))
        self.sparsity = SPARSITY_CLASSES[config.sparsity](config)
        self.nearness = Nearness(config) if config.learn_nearness else None
        if config.center_queries:
            self.centers = nn.ModuleList(
                MaskedBatchNorm(affinity_width, is_affine=False) for _ in range(config.n_layers)
            )
        if config.flat_start:
            self._flatten()

    def forward(
        self, embeddings: Tensor, mask: Optional[Tensor], *, last_receivers: Optional[Tensor] = None
    ) -> List[Tensor]:
        """Learned graphs of all layers.

        embeddings (Tensor): Shape: (batch, seq, width). Padding at the right.
        mask (Optional[Tensor]): True for real tokens. Shape: (batch, seq).
        last_receivers (Optional[Tensor]): In the last layer, compute only these rows. Shape: (receiver,).
        RETURNS (List[Tensor]): Per layer (batch, learned heads, receiver, source); padding rows are 0.
        """
        if self.config.n_learned_heads == 0:
            empty = embeddings.new_zeros(embeddings.shape[0], 0, embeddings.shape[1], embeddings.shape[1])
            rows = empty if last_receivers is None else empty[:, :, : len(last_receivers)]
            return [empty] * (self.config.n_layers - 1) + [rows]
        if mask is None and self._is_flat_and_asleep:
            return self._flat_graphs(embeddings, last_receivers)
        if self.config.detach_embeddings:
            embeddings = embeddings.detach()
        encoded_keys = self.key_cnn(embeddings, mask)  # (batch, seq, width)
        encoded_queries = self.query_cnn(embeddings, mask)  # (batch, seq, width)
        graphs = []
        for layer in range(self.config.n_layers):
            receivers = last_receivers if layer == self.config.n_layers - 1 else None
            graphs.append(self.layer_graph(encoded_keys, encoded_queries, mask, layer, receivers=receivers))
        return graphs

    def layer_graph(
        self, keys: Tensor, queries: Tensor, mask: Optional[Tensor], layer: int, *, receivers: Optional[Tensor] = None
    ) -> Tensor:
        """Learned graphs of one layer from the encoders' outputs, all rows or those of `receivers`.

        RETURNS (Tensor): Shape: (batch, learned heads, receiver, source).
        """
        query, key = self.affinity(keys, queries, mask, layer, receivers=receivers)
        products = query @ key.transpose(-1, -2)  # (batch, heads, receiver, source)
        positions = torch.arange(key.shape[2], device=key.device)
        distance = (positions if receivers is None else receivers)[:, None] - positions  # (receiver, source)
        nearness = None if self.nearness is None else self.nearness(distance, layer)
        lengths = torch.full((len(keys),), key.shape[2], device=key.device) if mask is None else mask.sum(1)
        graph: Tensor = self.sparsity(Scores(products, query, distance > 0, lengths, layer, nearness))
        if mask is None:
            return graph
        is_real = mask if receivers is None else mask[:, receivers]
        return graph * is_real[:, None, :, None]

    def affinity(
        self, keys: Tensor, queries: Tensor, mask: Optional[Tensor], layer: int, *, receivers: Optional[Tensor] = None
    ) -> Tuple[Tensor, Tensor]:
        """Queries and keys of one layer by head; their products are the scores.

        RETURNS (Tuple[Tensor, Tensor]): (batch, learned heads, receiver, head_width) and (batch, learned heads, source,
            head_width).
        """
        if receivers is not None and not self.config.center_queries:  # a centre is that of every token's query
            queries, receivers = queries[:, receivers], None
        query = self.queries[layer](queries)  # (batch, seq, heads * head_width)
        if self.config.center_queries:
            query = self.centers[layer](query, mask)
        if receivers is not None:
            query = query[:, receivers]
        key = self.keys[layer](keys)  # (batch, seq, heads * head_width)
        return self._split_heads(query), self._split_heads(key)

    def _flatten(self) -> None:
        """Begin with equal weights: all scores 0, far above a threshold of -1."""
        for keys in self.keys:
            for parameter in keys.parameters():
                nn.init.zeros_(parameter)
        self.sparsity.lower_thresholds()

    @property
    def _is_flat_and_asleep(self) -> bool:
        """Whether all weights still stand as `_flatten` left them, and none is learning."""
        is_flat = self.config.flat_start and self.sparsity.is_even_at_zero
        if not is_flat or any(parameter.requires_grad for parameter in self.parameters()):
            return False
        zero = [*self.keys.parameters(), *(() if self.nearness is None else self.nearness.parameters())]
        return not any(bool(parameter.any()) for parameter in zero)

    def _flat_graphs(self, embeddings: Tensor, last_receivers: Optional[Tensor]) -> List[Tensor]:
        """What scores of 0 come to, without computing them. Shapes: (1, learned heads, receiver, source)."""
        windows = (WHOLE_PAST,) * self.config.n_learned_heads
        rows = [None] * (self.config.n_layers - 1) + [last_receivers]
        return [fixed_graphs(windows, embeddings.shape[1], like=embeddings, receivers=each)[None] for each in rows]

    def _split_heads(self, values: Tensor) -> Tensor:
        return values.unflatten(-1, (self.config.n_learned_heads, -1)).transpose(1, 2)


def fixed_graphs(windows: Sequence[int], seq: int, *, like: Tensor, receivers: Optional[Tensor] = None) -> Tensor:
    """The window heads of a layer: each receiver attends equally to its last n tokens.

    windows (Sequence[int]): As `GlomoConfig.fixed_windows`.
    seq (int): Tokens.
    like (Tensor): Gives device and type.
    receivers (Optional[Tensor]): Only these rows. Shape: (receiver,).
    RETURNS (Tensor): Rows sum to 1, or to 0 where there is no earlier token. Shape: (windows, receiver, source).
    """
    positions = torch.arange(seq, device=like.device)
    distance = (positions if receivers is None else receivers)[:, None] - positions  # (receiver, source)
    if not windows:
        return like.new_zeros(0, *distance.shape)
    return window_graphs(windows, distance, (distance > 0)[None, None])[0].to(like)


def window_graphs(windows: Sequence[int], distance: Tensor, allowed: Tensor) -> Tensor:
    """Equal weights for the nearest n allowed sources, for each of the windows.

    windows (Sequence[int]): As `GlomoConfig.fixed_windows`.
    distance (Tensor): How many tokens earlier a source is. Shape: (receiver, source).
    allowed (Tensor): True where a receiver may attend. Shape: (batch, 1, receiver, source).
    RETURNS (Tensor): Rows sum to 1 or 0. Shape: (batch, windows, receiver, source).
    """
    near = [allowed if window == WHOLE_PAST else allowed & (distance <= window) for window in windows]
    weights = torch.cat(near, dim=1).float()
    return weights / weights.sum(-1, keepdim=True).clamp(min=1.0)
