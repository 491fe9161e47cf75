"""The output layers of a biLM: all words, a sample of them, or frequent words first.

Source: the sampled soft-max of Jean et al. 2015 with log-uniform negatives as bilm-tf trains with (one weight matrix for
both directions); the adaptive soft-max of Grave et al. 2017.
"""

import math
from typing import NamedTuple, Optional, Sequence, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..precision import at_least_float32
from ..products import linear
from .config import ElmoConfig

_CHUNK = 1 << 24  # logits held at a time when no gradient is wanted, 64 MB


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

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each target over all words, in nats.

        states (Tensor): Shape: (targets, width).
        targets (Tensor): Word ids. Shape: (targets,).
        RETURNS (Tensor): Shape: (targets,). Without gradients memory is bounded whatever the number of targets.
        """
        size = len(targets) if torch.is_grad_enabled() else max(1, _CHUNK // len(self.weight))
        parts = zip(states.split(max(size, 1)), targets.split(max(size, 1)))
        return torch.cat([self._losses(*part) for part in parts])

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
        n_negatives = len(negatives.ids)
        ids = torch.cat([targets, negatives.ids])
        # One look-up: each would cost a gradient of the table's full size.
        own_rows, rows = F.embedding(ids, self.weight).split([len(targets), n_negatives])
        offsets = self.bias[ids] - log_expected_counts(ids, negatives.n_draws, len(self.weight))
        own = at_least_float32((at_least_float32(states) * own_rows).sum(-1)) + offsets[: len(targets)]  # (targets,)
        others = at_least_float32(linear(states, rows)) + offsets[len(targets) :]  # (targets, negatives)
        places = torch.searchsorted(negatives.ids, targets).clamp(max=n_negatives - 1)  # (targets,)
        is_hit = negatives.ids[places] == targets
        others = _leave_out(others, places, is_hit)
        return F.softplus(others.logsumexp(1) - own)


class AdaptiveSoftmax(nn.Module):
    """Frequent words in a short list, rarer ones in clusters with narrower projections: exact and cheaper than all.

    vocab_size (int): Words, by falling count.
    width (int): Of the states.
    cutoffs (Sequence[int]): First word of each cluster after the short list, rising, below vocab_size.
    """

    def __init__(self, vocab_size: int, width: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        self.clusters = nn.AdaptiveLogSoftmaxWithLoss(width, vocab_size, list(cutoffs), head_bias=True)

    def losses(self, states: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each target over all words, in nats; arguments as for `FullSoftmax.losses`."""
        if not len(targets):
            return states.new_zeros(0)
        with torch.autocast(states.device.type, enabled=False):  # its parts are summed in the type of the input
            losses: Tensor = -self.clusters(at_least_float32(states), targets).output
        return losses


Softmax = Union[FullSoftmax, AdaptiveSoftmax]


def build_softmax(config: ElmoConfig) -> Optional[Softmax]:
    """The output layer that `config.softmax` chooses; None for "none"."""
    if config.softmax == "none":
        return None
    vocab_size = config.vocab_size or 0
    if config.softmax == "adaptive":
        return AdaptiveSoftmax(vocab_size, config.projection_width, config.adaptive_cutoffs)
    return FullSoftmax(vocab_size, config.projection_width)


def log_expected_counts(ids: Tensor, n_draws: Tensor, vocab_size: int) -> Tensor:
    """Log of the chance that a word is among the negatives: 1 - (1 - q)^n with q = log((id + 2) / (id + 1)) / log(V + 1).

    ids (Tensor): Word ids, which are ranks by count. Shape: (words,).
    n_draws (Tensor): As in `Negatives`.
    vocab_size (int): V.
    RETURNS (Tensor): float32. Shape: (words,).
    """
    shares = torch.log1p(1 / (ids.double() + 1)) / math.log(vocab_size + 1)
    return (-torch.expm1(n_draws * torch.log1p(-shares))).log().float()


def _leave_out(logits: Tensor, places: Tensor, is_hit: Tensor) -> Tensor:
    """Set one logit per row to minus infinity where it is a hit. Shape: (targets, negatives)."""
    rows = torch.arange(len(places), device=places.device)
    penalties = torch.zeros_like(logits[:, 0]).masked_fill(is_hit, -math.inf)
    return logits.index_put_((rows, places), penalties, accumulate=True)
