"""Context decoder: predict the next few words from the features of one position.

Source: Yang et al. 2018, section 3.1, equation 2 (unit-level objective with sequence prediction). The soft-max shares
the embedding table and has no bias.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..dropout import locked_dropout
from ..gru import gru
from ..precision import at_least_float32
from ..products import linear
from .config import GlomoConfig


class Negatives(NamedTuple):
    """A sample of the vocabulary that stands for all of it in the training loss.

    ids (Tensor): Sampled word ids, shared by all targets. Shape: (negatives,).
    log_expected (Tensor): For every word of the vocabulary, log of how often it is expected in `ids`. Shape: (vocab,).
    """

    ids: Tensor
    log_expected: Tensor


class SampledRows(NamedTuple):
    """The rows of the embedding table that a sampled soft-max needs, read in one go.

    Each separate look-up in the table would cost a gradient of the table's full size.

    negatives (Negatives): Which words.
    negative_rows (Tensor): Their rows. Shape: (negatives, width).
    word_rows (Tensor): The rows of the text's own words, among which all targets are. Shape: (batch, seq, width).
    """

    negatives: Negatives
    negative_rows: Tensor
    word_rows: Tensor


class ContextDecoder(nn.Module):
    """A GRU that unrolls a position's features into the `dec_len` words after it.

    config (GlomoConfig): Width, layers, steps.
    """

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__()
        self.config = config
        between_layers = config.dropout if config.n_decoder_layers > 1 else 0.0
        self.gru = nn.GRU(config.width, config.width, config.n_decoder_layers, batch_first=True, dropout=between_layers)

    def forward(self, features: Tensor, embeddings: Tensor, positions: Tensor) -> Tensor:
        """Decoder outputs, from which the words after each position are predicted.

        features (Tensor): Top features at the positions. Shape: (batch, positions, width).
        embeddings (Tensor): Shape: (batch, seq, width).
        positions (Tensor): Each at most seq - 1 - dec_len. Shape: (positions,).
        RETURNS (Tensor): Shape: (batch, positions, dec_len, width).
        """
        features = locked_dropout(features, self.config.dropout, is_train=self.training)
        steps = [torch.zeros_like(embeddings[:, positions])]  # the first step has no word to read
        steps += [embeddings[:, positions + step] for step in range(1, self.config.dec_len)]
        inputs = torch.stack(steps, dim=2).flatten(0, 1)  # (batch * positions, dec_len, width)
        outputs = gru(self.gru, inputs, features.flatten(0, 1), is_train=self.training)
        return outputs.unflatten(0, features.shape[:2])

    def targets(self, values: Tensor, positions: Tensor) -> Tensor:
        """What stands at the words after each position: ids, masks or rows. Shape: (batch, positions, dec_len, ...)."""
        steps = [values[:, positions + step] for step in range(1, self.config.dec_len + 1)]
        return torch.stack(steps, dim=2)


def target_losses(outputs: Tensor, targets: Tensor, table: Tensor) -> Tensor:
    """Cross-entropy of each target over the whole vocabulary, in nats.

    outputs (Tensor): Shape: (targets, width).
    targets (Tensor): Word ids. Shape: (targets,).
    table (Tensor): Embeddings that serve as the soft-max's weights. Shape: (vocab, width).
    RETURNS (Tensor): Shape: (targets,).
    """
    return F.cross_entropy(at_least_float32(linear(outputs, table)), targets, reduction="none")


def sampled_losses(outputs: Tensor, targets: Tensor, own_rows: Tensor, sample: "SampledRows") -> Tensor:
    """Cross-entropy of each target over itself and a sample of the vocabulary, in nats (Jean et al. 2015).

    Logits are corrected by the log of each word's expected count; a negative that is the target is left out.

    outputs (Tensor): Shape: (targets, width).
    targets (Tensor): Word ids. Shape: (targets,).
    own_rows (Tensor): The targets' rows of the table. Shape: (targets, width).
    sample (SampledRows): The negatives and their rows.
    RETURNS (Tensor): Shape: (targets,).
    """
    ids, log_expected = sample.negatives
    others = at_least_float32(linear(outputs, sample.negative_rows)) - log_expected[ids]  # (targets, negatives)
    others = others.masked_fill(ids == targets[:, None], float("-inf"))
    own = at_least_float32((outputs * own_rows).sum(-1)) - log_expected[targets]  # (targets,)
    return torch.logaddexp(own, others.logsumexp(1)) - own
