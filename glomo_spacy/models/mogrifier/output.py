"""From the body's outputs to words: one soft-max, a mixture of them, or frequent words first.

Source: Press and Wolf 2017 and Inan et al. 2017 for tied tables; Yang et al. 2018 (arXiv 1711.03953), section 3.2, for
the mixture; Grave et al. 2017 for the adaptive one; down-projection as in deepmind/lamb. With s an output, e_w a word's
row and b_w its bias:

    P(w | s) = softmax_w(e_w . (D s) + b_w)                               D only where widths differ
    P(w | s) = sum_k softmax_k(M s) softmax_w(e_w . tanh(D_k s + d_k) + b_w)

`<S>`, the first word, is never predicted. A temperature divides what the soft-max over words reads.
"""

import math
from typing import Optional, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...indexers import VocabularyIndexer
from ..cross_entropy import blocked_cross_entropy
from ..precision import PRECISIONS, at_least_float32, product_dtype
from ..products import Linear, linear
from ..softmax import AdaptiveSoftmax, Negatives, sampled_cross_entropy
from .config import MogrifierConfig

_NEVER = VocabularyIndexer.begin_sentence


class TableOutput(nn.Module):
    """What output layers with a row per word share.

    config (MogrifierConfig): Vocabulary, and whether the rows are those of the words read.
    width (int): Of a row.

    Attributes:
    precision (str): Of the products with all rows where no gradient is wanted, as `set_precision` sets it.

    Parameters: `bias` (vocab); `weight` (vocab, width) unless tied.
    """

    weight: Optional[nn.Parameter]

    def __init__(self, config: MogrifierConfig, width: int) -> None:
        super().__init__()
        self.precision = PRECISIONS[0]
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        weight = None if config.tied else nn.Parameter(torch.randn(config.vocab_size, width) / math.sqrt(width))
        self.register_parameter("weight", weight)

    def rows(self, table: Tensor) -> Tensor:
        """The row of each word: its own, or `table`, to which the output is tied. Shape: (vocab, width)."""
        return table if self.weight is None else self.weight

    def word_losses(self, vectors: Tensor, targets: Tensor, table: Tensor, temperature: float) -> Tensor:
        """-ln P(target), of `<S>` infinite, for vectors (n, width). Shape: (n,)."""
        rows, bias = self.rows(table), without_first(self.bias)
        if temperature != 1.0:
            vectors, bias = vectors / temperature, bias / temperature
        return blocked_cross_entropy(vectors, rows, bias, targets, dtype=self._product_dtype(rows))

    def word_log_probabilities(self, vectors: Tensor, table: Tensor, temperature: float) -> Tensor:
        """ln P of all words for vectors (..., width), at least float32. Shape: (..., vocab)."""
        rows = self.rows(table)
        dtype = self._product_dtype(rows)
        # The bias is added after the product, so that it stays exact where that is computed in bfloat16.
        logits = at_least_float32(linear(vectors.to(dtype), rows.to(dtype))) + without_first(self.bias)
        return F.log_softmax(logits if temperature == 1.0 else logits / temperature, dim=-1)

    def _product_dtype(self, rows: Tensor) -> torch.dtype:
        is_half = self.precision != PRECISIONS[0] and not torch.is_grad_enabled()
        return torch.bfloat16 if is_half else product_dtype(rows)


class FullOutput(TableOutput):
    """One logit per word.

    config (MogrifierConfig): Widths, and whether tables are tied.

    Parameters: those of `TableOutput`; `projection.weight` (embedding, width) if tied to a table of another width.
    """

    def __init__(self, config: MogrifierConfig) -> None:
        super().__init__(config, config.output_width)
        self.projection: Optional[nn.Module] = None
        if config.tied and config.output_width != config.embedding_width:
            self.projection = _linear(config.output_width, config.embedding_width, bias=False)

    def losses(self, states: Tensor, targets: Tensor, table: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Cross-entropy of each target over all words, in nats.

        states (Tensor): Outputs of the body. Shape: (targets, width).
        targets (Tensor): Word ids. Shape: (targets,).
        table (Tensor): The word vectors, to which the output may be tied. Shape: (vocab, embedding).
        RETURNS (Tensor): At least float32. Shape: (targets,).
        """
        return self.word_losses(self._vectors(states), targets, table, temperature)

    def sampled_losses(self, states: Tensor, targets: Tensor, table: Tensor, negatives: Negatives) -> Tensor:
        """Cross-entropy of each target over itself and a sample, in nats; for training. Shape: (targets,)."""
        bias = without_first(self.bias)
        return sampled_cross_entropy(self._vectors(states), self.rows(table), bias, targets, negatives)

    def log_probabilities(self, states: Tensor, table: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Natural logarithms of the probabilities of all words. Shape: (states, vocab)."""
        return self.word_log_probabilities(self._vectors(states), table, temperature)

    def _vectors(self, states: Tensor) -> Tensor:
        """What is compared with words' rows."""
        return states if self.projection is None else self.projection(states)


class MixtureOutput(TableOutput):
    """Several soft-maxes over the same rows, mixed with weights that depend on the state.

    config (MogrifierConfig): Widths, number of soft-maxes, and whether tables are tied.

    Parameters: those of `TableOutput`, rows as wide as word vectors; `projection` (n * embedding, width) and
    `mixture.weight` (n, width).
    """

    def __init__(self, config: MogrifierConfig) -> None:
        super().__init__(config, config.embedding_width)
        self.n_softmaxes = config.n_softmaxes
        self.projection = _linear(config.output_width, self.n_softmaxes * config.embedding_width, bias=True)
        self.mixture = _linear(config.output_width, self.n_softmaxes, bias=False)

    def losses(self, states: Tensor, targets: Tensor, table: Tensor, *, temperature: float = 1.0) -> Tensor:
        """As `FullOutput.losses`."""
        repeated = targets.repeat_interleave(self.n_softmaxes)  # (targets * n,)
        losses = self.word_losses(self._vectors(states).flatten(0, 1), repeated, table, temperature)
        return -torch.logsumexp(self._shares(states) - losses.view(-1, self.n_softmaxes), dim=1)

    def log_probabilities(self, states: Tensor, table: Tensor, *, temperature: float = 1.0) -> Tensor:
        """As `FullOutput.log_probabilities`."""
        each = self.word_log_probabilities(self._vectors(states), table, temperature)  # (states, n, vocab)
        return torch.logsumexp(each + self._shares(states)[..., None], dim=1)

    def _vectors(self, states: Tensor) -> Tensor:
        """What each soft-max compares with words' rows. Shape: (states, n, embedding)."""
        return torch.tanh(self.projection(states)).unflatten(-1, (self.n_softmaxes, -1))

    def _shares(self, states: Tensor) -> Tensor:
        """Logarithms of the mixture's weights. Shape: (states, n)."""
        return F.log_softmax(at_least_float32(self.mixture(states)), dim=-1)


class AdaptiveOutput(nn.Module):
    """Frequent words in a short list, rarer ones in clusters of narrower vectors.

    config (MogrifierConfig): Width and cut-offs.

    Parameters: `softmax.clusters.`, those of torch's adaptive soft-max.
    """

    def __init__(self, config: MogrifierConfig) -> None:
        super().__init__()
        self.softmax = AdaptiveSoftmax(config.vocab_size, config.output_width, config.adaptive_cutoffs)
        head = self.softmax.clusters.head
        self.softmax.clusters.head = _HeadWithoutFirst(head.in_features, head.out_features)

    def losses(self, states: Tensor, targets: Tensor, table: Tensor, *, temperature: float = 1.0) -> Tensor:
        """As `FullOutput.losses`."""
        if temperature == 1.0:
            return self.softmax.losses(states, targets)
        return -self.log_probabilities(states, table, temperature=temperature).gather(1, targets[:, None])[:, 0]

    def log_probabilities(self, states: Tensor, table: Tensor, *, temperature: float = 1.0) -> Tensor:
        """As `FullOutput.log_probabilities`."""
        with torch.autocast(states.device.type, enabled=False):  # its parts are joined in the type of the input
            found = self.softmax.clusters.log_prob(at_least_float32(states))  # (states, vocab)
        return found if temperature == 1.0 else F.log_softmax(found / temperature, dim=-1)


class _HeadWithoutFirst(nn.Linear):
    """The first part of an adaptive soft-max, in which the first word has no chance."""

    def forward(self, input: Tensor) -> Tensor:
        return without_first(super().forward(input))


Output = Union[FullOutput, MixtureOutput, AdaptiveOutput]


def new_output(config: MogrifierConfig) -> Output:
    """The output layer that the config names."""
    if config.softmax == "adaptive":
        return AdaptiveOutput(config)
    return MixtureOutput(config) if config.n_softmaxes > 1 else FullOutput(config)


def without_first(values: Tensor) -> Tensor:
    """Minus infinity for `<S>`. Shape: (..., vocab)."""
    return values.index_fill(-1, torch.tensor([_NEVER], device=values.device), -math.inf)


def _linear(n_in: int, n_out: int, *, bias: bool) -> Linear:
    """As lamb begins: a normal law whose variance is 1 / fan-in, and biases of 0."""
    made = Linear(n_in, n_out, bias=bias)
    nn.init.normal_(made.weight, std=1 / math.sqrt(n_in))
    if bias:
        nn.init.zeros_(made.bias)
    return made
