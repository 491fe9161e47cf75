"""Output layers over words: all of them, a sample, or frequent words first.

Source: the sampled soft-max of Jean et al. 2015 with log-uniform negatives as bilm-tf trains with, one weight matrix
for both directions; the adaptive soft-max of Grave et al. 2017.
"""

import math
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import Errors
from .precision import at_least_float32
from .products import linear

_CHUNK = 1 << 24  # logits held at a time when no gradient is wanted, 64 MB
_BLOCK = 1 << 18  # logits of a sampled soft-max computed at a time on a CPU, 1 MB
_LOWEST = -1e30
_NARROWER = 4.0  # width of a cluster of an adaptive soft-max over that of the next one
_NEARLY_ZERO = 0.05  # not 0: the states would get no gradient


class Negatives(NamedTuple):
    """Words drawn from a log-uniform law over ranks, shared by all targets of a batch and both directions.

    ids (Tensor): Distinct word ids in ascending order. Shape: (negatives,).
    n_draws (Tensor): Draws, repetitions included, until so many distinct words were found; infinite if they are all
        words there are. Scalar, float64.
    """

    ids: Tensor
    n_draws: Tensor


class FullSoftmax(nn.Module):
    """One logit per word; in training, if asked, only for targets and a sample of negatives.

    vocab_size (int): Words, by falling count: negatives follow their ranks.
    width (int): Of the states, that is one direction's projection.
    """

    def __init__(self, vocab_size: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(vocab_size, width) / math.sqrt(width))  # as bilm-tf begins
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    @torch.no_grad()
    def start_from_counts(self, counts: Tensor) -> None:
        """Begin with what counts alone tell: biases are log shares, and weights are nearly 0.

        As bilm-tf begins, a word that was never drawn keeps a random logit; with few steps these add up to most of the
        held-out loss.

        counts (Tensor): Of each word in the training text. Shape: (vocab,).
        """
        self.weight.mul_(_NEARLY_ZERO)
        self.bias.copy_(((counts.double() + 1) / (counts.sum() + len(counts))).log())

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each target over all words, in nats.

        states (Tensor): Shape: (targets, width).
        targets (Tensor): Word ids. Shape: (targets,).
        RETURNS (Tensor): Shape: (targets,). Without gradients memory is bounded whatever the number of targets.
        """
        if torch.is_grad_enabled():
            return self._losses(states, targets)
        size = max(1, _CHUNK // len(self.weight))
        return torch.cat([self._losses(*part) for part in zip(states.split(size), targets.split(size))])

    def _losses(self, states: Tensor, targets: Tensor) -> Tensor:
        logits = at_least_float32(linear(states, self.weight, self.bias))  # (targets, vocab)
        return F.cross_entropy(logits, targets, reduction="none")

    def sampled_losses(self, states: Tensor, targets: Tensor, negatives: Negatives) -> Tensor:
        """Cross-entropy of each target over itself and the negatives, in nats.

        Logits are corrected by the log of each word's expected count, and a negative that is the target is left out, so
        that with all words drawn this equals `losses`.

        states, targets: As for `losses`.
        negatives (Negatives): Shared by all targets.
        RETURNS (Tensor): Shape: (targets,).
        """
        return sampled_cross_entropy(states, self.weight, self.bias, targets, negatives)


class AdaptiveSoftmax(nn.Module):
    """Frequent words in a short list, rarer ones in clusters with narrower projections: exact and cheaper than all.

    vocab_size (int): Words, by falling count.
    width (int): Of the states.
    cutoffs (Sequence[int]): First word of each cluster after the short list, rising, below vocab_size.
    RAISES: ValueError G148 if the last cluster would have no width.
    """

    def __init__(self, vocab_size: int, width: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        most = int(math.log(width, _NARROWER) + 1e-9)
        if len(cutoffs) > most:
            raise ValueError(Errors.G148.format(found=len(cutoffs), width=width, most=most))
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(
            width, vocab_size, list(cutoffs), div_value=_NARROWER, head_bias=True
        )

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each target over all words, in nats; arguments as for `FullSoftmax.losses`."""
        if not len(targets):
            return states.new_zeros(0)
        with torch.autocast(states.device.type, enabled=False):  # its parts are summed in the type of the input
            losses: Tensor = -self.clusters(at_least_float32(states), targets).output
        return losses


def sampled_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, negatives: Negatives
) -> Tensor:
    """Cross-entropy of each target over itself and the negatives, in nats; see `FullSoftmax.sampled_losses`.

    states (Tensor): Shape: (targets, width).
    weight, bias (Tensor): Shapes: (vocab, width), (vocab,).
    RETURNS (Tensor): Shape: (targets,).
    """
    n_targets, n_negatives = len(targets), len(negatives.ids)
    ids = torch.cat([targets, negatives.ids])
    # One look-up: each would cost a gradient of the table's full size.
    own_rows, rows = F.embedding(ids, weight).split([n_targets, n_negatives])
    offsets = bias[ids] - log_expected_counts(ids, negatives.n_draws, len(weight))
    own = (at_least_float32(states) * own_rows).sum(-1) + offsets[:n_targets]  # (targets,)
    places = torch.searchsorted(negatives.ids, targets).clamp(max=n_negatives - 1)  # (targets,)
    hits = torch.where(negatives.ids[places] == targets, places, -1)
    losses: Tensor = _SampledCrossEntropy.apply(states, rows, offsets[n_targets:], own, hits)
    return losses


def log_expected_counts(ids: Tensor, n_draws: Tensor, vocab_size: int) -> Tensor:
    """Log of the chance that a word is among the negatives.

    That is 1 - (1 - q)^n, where q = log((id + 2) / (id + 1)) / log(V + 1) is its share of each draw.

    ids (Tensor): Word ids, which are ranks by count. Shape: (words,).
    n_draws (Tensor): As in `Negatives`.
    vocab_size (int): V.
    RETURNS (Tensor): float32. Shape: (words,).
    """
    shares = torch.log1p(1 / (ids.double() + 1)) / math.log(vocab_size + 1)
    return (-torch.expm1(n_draws * torch.log1p(-shares))).log().float()


class _SampledCrossEntropy(torch.autograd.Function):
    """-log(e^own / (e^own + sum over negatives e^logit)), block by block, so that logits stay in the cache.

    What the backward pass needs is kept: the share of each negative, in the type of the products.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, rows: Tensor, offsets: Tensor, own: Tensor, hits: Tensor) -> Tensor:
        """Shapes: (targets, width), (negatives, width), (negatives,), (targets,) and (targets,), which has each
        target's place among the negatives or -1. RETURNS (Tensor): Shape: (targets,)."""
        device = states.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else rows.dtype
        states, rows = states.to(dtype), rows.to(dtype)
        shares = rows.new_empty(len(states), len(rows))
        losses, others = torch.empty_like(own), torch.empty_like(own)
        size = _BLOCK // len(rows) + 1 if device == "cpu" else len(states) + 1
        for begin in range(0, len(states), size):
            block = slice(begin, begin + size)
            logits = torch.mm(states[block], rows.t()).to(own.dtype).add_(offsets)  # (block, negatives)
            _leave_out(logits, hits[block])
            highest = logits.amax(1).clamp_(min=_LOWEST)
            total = logits.sub_(highest[:, None]).exp_().sum(1).clamp_(min=1e-30)  # 0 if the target alone was drawn
            margin = highest + total.log() - own[block]
            losses[block], others[block] = F.softplus(margin), margin.sigmoid()
            shares[block] = logits.mul_((others[block] / total)[:, None])
        ctx.save_for_backward(states, rows, shares, others)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Optional[Tensor], ...]:
        states, rows, shares, others = ctx.saved_tensors
        gradient = gradients[0]  # (targets,)
        d_states = torch.mm(shares, rows).to(gradient.dtype) * gradient[:, None]
        # One more column sums the shares for the offsets.
        weighted = torch.cat([states * gradient[:, None], gradient[:, None]], 1).to(rows.dtype)
        d_rows = torch.mm(shares.t(), weighted).to(gradient.dtype)  # (negatives, width + 1)
        return d_states, d_rows[:, :-1], d_rows[:, -1], -gradient * others, None


def _leave_out(logits: Tensor, hits: Tensor) -> None:
    """Set one logit of each row that has a hit to minus infinity. Shape: (targets, negatives)."""
    penalties = torch.zeros_like(logits[:, 0]).masked_fill(hits >= 0, -math.inf)
    logits.index_put_((torch.arange(len(hits), device=hits.device), hits.clamp(min=0)), penalties, accumulate=True)
