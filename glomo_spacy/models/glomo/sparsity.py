"""From affinity scores to edge weights: the variants of sparsity.

Source: Yang et al. 2018, section 3.1, equation 1: G_ij = ReLU(k_j . q_i + b)^2 / sum_j' ReLU(k_j' . q_i + b)^2, with
the published threshold b a function of the query. A row's denominator is the sum of the squares.
"""

import math
from typing import Any, Dict, NamedTuple, Optional, Tuple, Type

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..precision import at_least_float32
from .config import GlomoConfig

LOW_THRESHOLD = -1.0  # for a flat start: far below small scores
_REACH = 8.0  # tokens: mean distance of stick-breaking heads that have none of their own
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
    is_right (bool): Sources stand after their receivers, the nearest first; else before them, the nearest last.
    """

    products: Tensor
    queries: Tensor
    allowed: Tensor
    lengths: Tensor
    layer: int
    nearness: Optional[Tensor]
    is_right: bool = False


class Sparsity(nn.Module):
    """How scores become edge weights; subclasses are the named variants of `GlomoConfig.sparsity`.

    config (GlomoConfig): Sizes and rates.
    """

    is_rectified = True
    is_even_at_zero = True  # scores of 0 above a low threshold give equal weights

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


class StickBreaking(Sparsity):
    """The nearest source that fits: each in turn, from the nearest on, takes a share of what is left of the row.

    w_ij = s_ij prod_k (1 - s_ik) over the sources k between, s a sigmoid of score / sqrt(head_width) + b, divided by
    the row's sum. An extension, after the gates of Shen et al. 2018 (arXiv 1711.02013) and the stick-breaking attention
    of Tan et al. 2024 (arXiv 2410.17980), which leaves unused what is left over. At first, while scores are near 0, the
    mean distance is `reach`. `nearness` moves the sigmoid, not the weight.
    """

    is_even_at_zero = False

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__(config)
        reach = torch.tensor(config.reach or (_REACH,) * config.n_learned_heads)
        self.offsets = nn.Parameter(-(reach - 1.0).log().repeat(config.n_layers, 1))  # sigmoid of it: 1 / reach

    def forward(self, scores: Scores) -> Tensor:
        offset = self.offsets[scores.layer][:, None, None]
        if scores.nearness is not None:
            offset = offset + 2.0 * scores.nearness  # as where products are squared
        scale = 1.0 / math.sqrt(self.config.key_width)
        weights: Tensor = BrokenSticks.apply(scores.products, offset, scores.allowed, scale, scores.is_right)
        return weights


SPARSITY_CLASSES: Dict[str, Type[Sparsity]] = {
    "square": Square,
    "relu": ReLU,
    "shifted-relu": ShiftedReLU,
    "top-k": TopK,
    "threshold": Threshold,
    "softmax": Softmax,
    "stick-breaking": StickBreaking,
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


class BrokenSticks(torch.autograd.Function):
    """Weights of `StickBreaking`, with their gradient by hand, as in `NormalizedSquares` and for its reason.

    With s = scale * score + offset, log(1 - sigmoid(s)) = -softplus(s) and log sigmoid(s) = s - softplus(s): a source's
    logarithm is its s less the softplus of all sources up to itself, nearest first. From h, the gradient by these
    logarithms, that of s is h - sigmoid(s) * (the sum of h from the source on, outwards).
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, offset: Tensor, allowed: Tensor, scale: float, is_right: bool) -> Tensor:
        stops = torch.add(offset, at_least_float32(scores), alpha=scale)  # (batch, heads, receiver, source)
        passes = F.softplus(stops)
        shares = (stops - passes).exp_().mul_(allowed)
        passes.mul_(allowed)
        up_to_itself = passes.cumsum(-1) if is_right else passes.flip(-1).cumsum(-1).flip(-1)
        weights = stops.sub_(up_to_itself).exp_().masked_fill_(~allowed, 0.0)
        weights.div_(weights.sum(-1, keepdim=True).add_(EPSILON))
        ctx.save_for_backward(weights, shares)
        ctx.scale, ctx.is_right = scale, is_right
        ctx.score_dtype, ctx.offset_shape, ctx.offset_dtype = scores.dtype, offset.shape, offset.dtype
        return weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[Optional[Tensor], ...]:
        weights, shares = ctx.saved_tensors
        inner = torch.linalg.vecdot(gradient, weights).unsqueeze(-1)  # (batch, heads, receiver, 1)
        d_stops = (gradient - inner).mul_(weights)
        outwards = d_stops.cumsum(-1)
        if ctx.is_right:
            outwards = outwards[..., -1:] - outwards + d_stops
        d_stops.sub_(outwards.mul_(shares))
        d_offset = d_stops.sum_to_size(ctx.offset_shape).to(ctx.offset_dtype)
        return d_stops.mul_(ctx.scale).to(ctx.score_dtype), d_offset, None, None, None
