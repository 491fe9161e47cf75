"""The network of a language model: word vectors, a recurrent body or a Transformer, what predicts the next word.

Source: Melis et al. 2020, section 4, and deepmind/lamb. `</S>` is read before the first word of a text.
"""

import math
from typing import Optional, Tuple, Union

import torch
from torch import Tensor, nn

from ...errors import Errors
from ...indexers import Indexer, VocabularyIndexer
from ..dropout import locked_dropout
from ..softmax import Negatives
from .config import MogrifierConfig
from .lstm import Stack, State
from .output import FullOutput, Output, new_output
from .spelling import Spelling
from .transformer import Transformer


class WordNetwork(nn.Module):
    """A word language model from left to right, over ids; `LanguageModel` adds words.

    config (MogrifierConfig): Sizes and variant.

    Attributes:
    width (int): Width of the outputs, the states as features.
    spelling (Optional[Spelling]): What unknown words cost beside being unknown; None in models that do not know.

    Parameters: `embedding.weight` (vocab, embedding), `body.`, `output.` and `spelling.`, see their classes.
    """

    def __init__(self, config: MogrifierConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.output_width
        self._indexer: Optional[VocabularyIndexer] = None
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_width)
        nn.init.normal_(self.embedding.weight, std=1 / math.sqrt(config.embedding_width))
        self.body: Union[Stack, Transformer] = _transformer(config) if config.cell == "transformer" else Stack(config)
        self.output: Output = new_output(config)
        self.spelling = None if config.spelling_width is None else Spelling(config.spelling_width)

    @property
    def indexer(self) -> Optional[VocabularyIndexer]:
        """How words become ids; None until `attach_indexer` is called, as `build_model` does."""
        return self._indexer

    def attach_indexer(self, indexer: Indexer) -> None:
        """Let the model read words.

        indexer (Indexer): Of kind "vocabulary".
        RAISES: ValueError G185 for another kind, G108 if it has more or fewer words than the model.
        """
        if not isinstance(indexer, VocabularyIndexer):
            raise ValueError(Errors.G185.format(found=indexer.kind))
        if len(indexer) != self.config.vocab_size:
            expected = self.config.vocab_size
            raise ValueError(Errors.G108.format(found=len(indexer), units="words", expected=expected))
        self._indexer = indexer

    def initial_state(self, batch: int) -> State:
        """Zeros for so many rows, in the type and on the device of the weights."""
        config, like = self.config, self.embedding.weight
        n_layers = config.n_layers
        width = 0 if config.cell == "transformer" else config.output_width
        cell = config.hidden_width if config.is_lstm else 0
        return State(like.new_zeros(n_layers, batch, width), like.new_zeros(n_layers, batch, cell))

    def forward(
        self, ids: Tensor, state: Optional[State] = None, *, mask: Optional[Tensor] = None
    ) -> Tuple[Tensor, State]:
        """Read words; in training mode with dropout, and with resets of states where gradients are wanted.

        ids (Tensor): Words. Shape: (batch, seq).
        state (Optional[State]): Each row's state before. None: zero. A transformer has none: a call is a window.
        mask (Optional[Tensor]): True for real words, padding at the right. None: all are. Shape: (batch, seq).
        RETURNS (Tuple[Tensor, State]): Outputs, each after its word, (batch, seq, width); the state after each row.
        """
        outputs, state = self.read(ids, state, mask=mask)
        return self.drop(outputs), state

    def read(
        self, ids: Tensor, state: Optional[State] = None, *, mask: Optional[Tensor] = None
    ) -> Tuple[Tensor, State]:
        """As `forward`, before the dropout of outputs, which activation regularisation wants too."""
        state = self.initial_state(len(ids)) if state is None else self._reset(state)
        vectors = self.embedding(ids)  # (batch, seq, embedding)
        if isinstance(self.body, Transformer):
            outputs = self.body(locked_dropout(vectors, self.config.input_dropout, is_train=self.training))
            return outputs, state
        outputs, state = self.body(vectors, state, mask=mask)
        return outputs, state

    def drop(self, outputs: Tensor) -> Tensor:
        """The dropout of outputs, in training mode. Shape: (batch, seq, width)."""
        return locked_dropout(outputs, self.config.output_dropout, is_train=self.training)

    def losses(self, outputs: Tensor, targets: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Cross-entropy of each target over all words, in nats.

        outputs (Tensor): Shape: (targets, width).
        targets (Tensor): Word ids. Shape: (targets,).
        temperature (float): Logits are divided by it. > 0.
        RETURNS (Tensor): Shape: (targets,). Without gradients memory is bounded whatever the number of targets.
        RAISES: ValueError G186 for a temperature of 0 or below.
        """
        _check_temperature(temperature)
        return self.output.losses(outputs, targets, self.embedding.weight, temperature=temperature)

    def sampled_losses(self, outputs: Tensor, targets: Tensor, negatives: Negatives) -> Tensor:
        """Cross-entropy of each target over itself and the negatives, in nats; for training.

        outputs, targets: As for `losses`.
        negatives (Negatives): Shared by all targets.
        RETURNS (Tensor): Shape: (targets,).
        RAISES: ValueError G187 for an adaptive soft-max or a mixture.
        """
        if not isinstance(self.output, FullOutput):
            config = self.config
            raise ValueError(Errors.G187.format(softmax=config.softmax, n_softmaxes=config.n_softmaxes))
        return self.output.sampled_losses(outputs, targets, self.embedding.weight, negatives)

    def log_probabilities(self, outputs: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Natural logarithms of the probabilities of all words, -inf for `<S>`.

        outputs (Tensor): Shape: (n, width).
        temperature (float): As in `losses`.
        RETURNS (Tensor): Shape: (n, vocab).
        """
        _check_temperature(temperature)
        return self.output.log_probabilities(outputs, self.embedding.weight, temperature=temperature)

    def _reset(self, state: State) -> State:
        """Forget the states of some rows, in training."""
        rate = self.config.reset_probability
        if not self.training or rate == 0.0 or not torch.is_grad_enabled():
            return state
        keep = torch.empty_like(state.hidden[:1, :, :1]).bernoulli_(1.0 - rate)  # (1, batch, 1)
        return State(*(part * keep for part in state))


def _transformer(config: MogrifierConfig) -> Transformer:
    return Transformer(
        config.embedding_width,
        config.hidden_width,
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        ffn_width=config.ffn_width,
        positions=config.positions,
        outputs=config.outputs,
        dropout=config.layer_dropout,
    )


def _check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise ValueError(Errors.G186.format(found=temperature))
