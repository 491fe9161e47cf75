"""The biLM: two language models in opposite directions over shared vectors of words.

Source: Peters et al. 2018, section 3; behaviour at prediction as in bilm-tf's `bilm/model.py`. Layer 0 of a token is
its vector twice, layers 1 to n are [forward; backward] outputs.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from ...errors import Errors
from ...indexers import CharIndexer, Indexer, VocabularyIndexer
from .char_cnn import CharCNN
from .config import ElmoConfig
from .lstm import LSTMStack, State
from .softmax import AdaptiveSoftmax, FullSoftmax

Layers = npt.NDArray[np.float32]
Sentences = Sequence[Sequence[str]]
Encoded = Tuple[List[Tensor], List[Tensor], "BiLMState"]


class BiLMState(NamedTuple):
    """What both directions remember of each row; the backward part is None in a forward-only model."""

    forward: State
    backward: Optional[State]


class BiLM(nn.Module):
    """Bidirectional language model, the network behind ELMo.

    config (ElmoConfig): Sizes and variant.

    Attributes:
    indexer (Optional[Indexer]): How words become its units; None until one is attached, as `build_model` does.
    softmax (Optional[nn.Module]): What predicts words; None in models that only give vectors.
    width (int): Width of a layer's vectors.
    """

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.indexer: Optional[Indexer] = None
        self.token_encoder: nn.Module = CharCNN(config) if config.token_encoder == "characters" else _word_table(config)
        self.forward_lm = LSTMStack(config)
        self.backward_lm = LSTMStack(config) if config.directions == "both" else None
        self.softmax: Optional[nn.Module] = _build_softmax(config)

    def attach_indexer(self, indexer: Indexer) -> None:
        """Let the model read words.

        indexer (Indexer): Of kind "characters", or "vocabulary" for a model with a table of words.
        RAISES: ValueError G015 for another kind, G108 if it numbers more or fewer units than the model has.
        """
        config, needs_characters = self.config, self.config.token_encoder == "characters"
        if not isinstance(indexer, CharIndexer if needs_characters else VocabularyIndexer):
            kind = CharIndexer.kind if needs_characters else VocabularyIndexer.kind
            raise ValueError(Errors.G015.format(found=f"kind {indexer.kind!r}", kind=kind, names="its settings"))
        if isinstance(indexer, CharIndexer):
            checks = [(indexer.n_characters, config.n_characters, "characters")]
            checks += [(indexer.max_characters, config.max_characters, "characters a word at most")]
        else:
            checks = [(len(indexer), config.vocab_size, "words")]
        for found, expected, units in checks:
            if found != expected:
                raise ValueError(Errors.G108.format(found=found, units=units, expected=expected))
        self.indexer = indexer

    def token_vectors(self, units: Tensor) -> Tensor:
        """Vectors of words without their context.

        units (Tensor): Character ids, trimmed to any width that holds the longest word, (words, chars); or word ids,
            (words,).
        RETURNS (Tensor): Shape: (words, projection).
        """
        vectors: Tensor = self.token_encoder(units)
        return vectors

    def encode(
        self,
        forward_vectors: Tensor,
        backward_vectors: Optional[Tensor] = None,
        *,
        mask: Optional[Tensor] = None,
        state: Optional[BiLMState] = None,
    ) -> Encoded:
        """Run both directions, each in its own reading order.

        forward_vectors (Tensor): Token vectors, first word first. Shape: (batch, seq, projection).
        backward_vectors (Optional[Tensor]): Token vectors, last word first; not read by a forward-only model.
        mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
        state (Optional[BiLMState]): Each row's state before. None: zero.
        RETURNS (Encoded): Outputs of the forward layers, (batch, seq, projection) each; of the backward layers, in
            their reading order, none in a forward-only model; the state after each row's last real token.
        """
        forward_state, backward_state = (None, None) if state is None else state
        forward_layers, forward_end = self.forward_lm(forward_vectors, mask=mask, state=forward_state)
        if self.backward_lm is None:
            return forward_layers, [], BiLMState(forward_end, None)
        backward_layers, backward_end = self.backward_lm(backward_vectors, mask=mask, state=backward_state)
        return forward_layers, backward_layers, BiLMState(forward_end, backward_end)


def _word_table(config: ElmoConfig) -> nn.Embedding:
    table = nn.Embedding(config.vocab_size or 0, config.projection_width)
    nn.init.xavier_uniform_(table.weight)
    return table


def _build_softmax(config: ElmoConfig) -> Optional[nn.Module]:
    size, width = config.vocab_size or 0, config.projection_width
    if config.softmax == "full":
        return FullSoftmax(size, width)
    return AdaptiveSoftmax(size, width, config.adaptive_cutoffs) if config.softmax == "adaptive" else None
