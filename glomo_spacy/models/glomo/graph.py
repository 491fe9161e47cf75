"""From keys and queries to relational graphs: affinity scores, sparsity, one graph per layer and head.

Source: Yang et al. 2018, section 3.1, equation 1: G_ij = ReLU(k_j . q_i + b)^2 / sum_j' ReLU(k_j' . q_i + b)^2, with
the published threshold b a function of the query. A row's denominator is the sum of the squares. Receivers attend to
strictly earlier tokens; the other direction is the same network on the reversed text.
"""

import math
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Type

import torch
from torch import Tensor, nn

from ..precision import at_least_float32
from ..products import Linear
from .config import WHOLE_PAST, GlomoConfig
from .encoders import KeyCNN, MaskedBatchNorm, QueryCNN

NEARNESS_EDGES = (1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72, 108)  # each range of distances ends where the next begins
FLAT_SCALE, LOW_THRESHOLD = 0.1, -1.0  # for a flat start: of the first keys' usual size; first threshold
EPSILON = 1e-16  # of the published normaliser: a row without weight stays zero instead of dividing by zero


class Scores(NamedTuple):
    """What edge weights of one layer are made of.

    products (Tensor): q_i . k_j, not scaled. Shape: (batch, heads, receiver, source).
    queries (Tensor): Shape: (batch, heads, receiver, head_width).
    allowed (Tensor): True where a source is earlier than its receiver. Shape: (receiver, source) or more.
    lengths (Tensor): Real tokens per sequence. Shape: (batch,).
    layer (int): Whose parameters to use.
    nearness (Optional[Tensor]): Of `Nearness`: the logarithm of a factor on what is squared. Shape: (heads, receiver,
        source).
    """

    products: Tensor
    queries: Tensor
    allowed: Tensor
    lengths: Tensor
    layer: int
    nearness: Optional[Tensor]


class Sparsity(nn.Module):
    """How scores become edge weights; subclasses are the named variants of `GlomoConfig.sparsity`.

    config (GlomoConfig): Sizes and rates.
    """

    is_rectified = True

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, scores: Scores) -> Tensor:
        """Edge weights of one layer.

        RETURNS (Tensor): Rows sum to 1, or to 0 when nothing is attended. Shape: (batch, heads, receiver, source).
        """
        threshold = self.threshold(scores.queries, scores.layer)
        weights: Tensor = NormalizedSquares.apply(
            scores.products, threshold, scores.allowed, self.is_rectified, scores.nearness
        )
        return weights

    def threshold(self, queries: Tensor, layer: int) -> Optional[Tensor]:
        """What is taken from the scores of each row first. Shape: () or (batch, heads, receiver, 1); None: nothing."""
        return None

    def lower_thresholds(self) -> None:
        """Begin far below small scores, so that all of them count alike; where there are thresholds."""


class Square(Sparsity):
    """No rectifier: every earlier token counts with its squared score (published `sparse_mode 0`)."""

    is_rectified = False


class ReLU(Sparsity):
    """Only positive scores count (published `sparse_mode 1`)."""


class ShiftedReLU(Sparsity):
    """Scores above one learned threshold per layer, initially 1e-4 (published `sparse_mode 2`)."""

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__(config)
        self.shift = nn.Parameter(torch.full((config.n_layers,), 1e-4))

    def threshold(self, queries: Tensor, layer: int) -> Optional[Tensor]:
        return self.shift[layer]

    def lower_thresholds(self) -> None:
        nn.init.constant_(self.shift, LOW_THRESHOLD)


class Threshold(Sparsity):
    """Scores above a threshold that each receiver computes from its query (published `sparse_mode 4`)."""

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__(config)
        self.thresholds = nn.ModuleList(nn.Linear(config.key_width, 1) for _ in range(config.n_layers))

    def threshold(self, queries: Tensor, layer: int) -> Optional[Tensor]:
        threshold: Tensor = self.thresholds[layer](queries)  # (batch, heads, receiver, 1)
        return threshold

    def lower_thresholds(self) -> None:
        for threshold in self.thresholds:
            for name, value in (("weight", 0.0), ("bias", LOW_THRESHOLD)):
                nn.init.constant_(threshold.get_parameter(name), value)


class TopK(Sparsity):
    """The k largest squared scores of each row, k = floor(top_k_rate * sqrt(length)) (published `sparse_mode 3`).

    Unlike the published code, the length is the sequence's own, not the padded one.
    """

    def forward(self, scores: Scores) -> Tensor:
        factor = scores.allowed if scores.nearness is None else scores.nearness.exp() * scores.allowed
        squares = at_least_float32(scores.products * factor).square()
        n_kept = (scores.lengths.double().sqrt() * self.config.top_k_rate).floor().long().clamp(min=1)  # (batch,)
        largest = min(int(n_kept.max()), squares.shape[-1])
        values, sources = squares.topk(largest, dim=-1)  # (batch, heads, receiver, largest)
        ranks = torch.arange(largest, device=squares.device)
        values = values * (ranks < n_kept[:, None])[:, None, None]  # sequences shorter than the batch keep fewer
        kept = torch.zeros_like(squares).scatter(-1, sources, values)
        return kept / (kept.sum(-1, keepdim=True) + EPSILON)


class Softmax(Sparsity):
    """Soft-max of scores divided by sqrt(head_width) (Vaswani et al. 2017); dense.

    The published option (`yann 0`) only raised an error; this is its evident meaning, with the usual scale, without
    which the soft-max saturates.
    """

    def forward(self, scores: Scores) -> Tensor:
        scaled = at_least_float32(scores.products) / math.sqrt(self.config.key_width)
        if scores.nearness is not None:
            scaled = scaled + 2.0 * scores.nearness  # as where products are squared
        weights = scaled.masked_fill(~scores.allowed, float("-inf")).softmax(-1)
        return weights.masked_fill(
            ~scores.allowed, 0.0
        )  # the first row, which may attend to nothing, is not a number before


SPARSITY_CLASSES: Dict[str, Type[Sparsity]] = {
    "square": Square,
    "relu": ReLU,
    "shifted-relu": ShiftedReLU,
    "top-k": TopK,
    "threshold": Threshold,
    "softmax": Softmax,
}


class NormalizedSquares(torch.autograd.Function):
    """ReLU(score - threshold)^2 divided by its row's sum (Yang et al. 2018, equation 1), with its gradient by hand.

    The scores are the largest arrays of a training step; a dozen separate operations would make as many of them.
    With `nearness`, what is squared is first multiplied by its exponential.
    """

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        threshold: Optional[Tensor],
        allowed: Tensor,
        is_rectified: bool,
        nearness: Optional[Tensor] = None,
    ) -> Tensor:
        kept = at_least_float32(scores)
        if threshold is not None:
            kept = kept - threshold.to(kept.dtype)
        if is_rectified:
            kept = kept.clamp_(min=0.0) if threshold is not None else kept.clamp(min=0.0)
        factor = allowed if nearness is None else at_least_float32(nearness).exp() * allowed
        kept = kept * factor if kept is scores else kept.mul_(factor)
        weights = kept * kept
        total = weights.sum(-1, keepdim=True).add_(EPSILON)  # (batch, heads, receiver, 1)
        weights.div_(total)
        ctx.save_for_backward(kept, weights, total, None if nearness is None else factor)
        ctx.score_dtype = scores.dtype
        ctx.nearness_dtype = None if nearness is None else nearness.dtype
        ctx.threshold = None if threshold is None else (threshold.shape, threshold.dtype)
        return weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[Optional[Tensor], ...]:
        # All zero where a score does not count, and so is its gradient.
        kept, weights, total, factor = ctx.saved_tensors
        inner = torch.linalg.vecdot(gradient, weights).unsqueeze(-1)  # (batch, heads, receiver, 1)
        d_scores = (gradient - inner).mul_(kept).mul_(2.0 / total)
        d_threshold = d_nearness = None
        if factor is not None:
            d_nearness = (d_scores * kept).sum(0).to(ctx.nearness_dtype)  # (heads, receiver, source)
            d_scores.mul_(factor)
        if ctx.threshold is not None:
            shape, dtype = ctx.threshold
            d_threshold = -d_scores.sum(-1, keepdim=True).sum_to_size(shape).to(dtype)
        return d_scores.to(ctx.score_dtype), d_threshold, None, None, d_nearness


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
        query = self.queries[layer](queries)  # (batch, seq, heads * head_width)
        if self.config.center_queries:
            query = self.centers[layer](query, mask)
        if receivers is not None:
            query = query[:, receivers]
        key = self.keys[layer](keys)  # (batch, seq, heads * head_width)
        return self._split_heads(query), self._split_heads(key)

    def _flatten(self) -> None:
        """Begin with nearly equal weights: small scores, all of them far above a threshold of -1."""
        for keys in self.keys:
            nn.init.zeros_(keys.get_parameter("bias"))
            keys.get_parameter("weight").data.mul_(FLAT_SCALE)
        self.sparsity.lower_thresholds()

    def _split_heads(self, values: Tensor) -> Tensor:
        return values.unflatten(-1, (self.config.n_learned_heads, -1)).transpose(1, 2)


def fixed_graphs(config: GlomoConfig, seq: int, *, like: Tensor, receivers: Optional[Tensor] = None) -> Tensor:
    """The window heads of a layer: each receiver attends equally to its last n tokens.

    like (Tensor): Gives device and type.
    receivers (Optional[Tensor]): Only these rows. Shape: (receiver,).
    RETURNS (Tensor): Rows sum to 1, or to 0 where there is no earlier token. Shape: (windows, receiver, source).
    """
    positions = torch.arange(seq, device=like.device)
    distance = (positions if receivers is None else receivers)[:, None] - positions  # (receiver, source)
    if not config.fixed_windows:
        return like.new_zeros(0, *distance.shape)
    return window_graphs(config, distance, (distance > 0)[None, None])[0].to(like)


def window_graphs(config: GlomoConfig, distance: Tensor, allowed: Tensor) -> Tensor:
    """Equal weights for the nearest n allowed sources, for each of `fixed_windows`.

    distance (Tensor): How many tokens earlier a source is. Shape: (receiver, source).
    allowed (Tensor): True where a receiver may attend. Shape: (batch, 1, receiver, source).
    RETURNS (Tensor): Rows sum to 1 or 0. Shape: (batch, windows, receiver, source).
    """
    near = [allowed if window == WHOLE_PAST else allowed & (distance <= window) for window in config.fixed_windows]
    weights = torch.cat(near, dim=1).float()
    return weights / weights.sum(-1, keepdim=True).clamp(min=1.0)
