"""The biLM: two language models in opposite directions over shared vectors of words.

Source: Peters et al. 2018, section 3; behaviour at prediction as in bilm-tf's `bilm/model.py`. Layer 0 of a token is
its vector twice, layers 1 to n are [forward; backward] outputs. Sentences get their boundaries here, and lose them.
"""

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import Errors
from ...indexers import CharIndexer, Indexer, VocabularyIndexer
from ..derived import Derived
from ..precision import precisions
from ..softmax import AdaptiveSoftmax, FullSoftmax
from .batching import BEGIN, END, Batch, Ids, distinct_words, make_batch, plan_batches
from .char_cnn import CharCNN
from .config import ElmoConfig
from .lstm import LSTMStack
from .scalar_mix import mix_layers
from .state import BiLMState
from .word_cache import WordCache

BATCH_TOKENS = 2048
STATES = ("zero", "carry")
_INDEXERS: Dict[str, Any] = {"characters": CharIndexer, "words": VocabularyIndexer}  # by `token_encoder`

Layers = npt.NDArray[np.float32]
Sentences = Sequence[Sequence[str]]
Encoded = Tuple[List[Tensor], List[Tensor], BiLMState]
Numbered = Iterator[Tuple[int, Tensor]]


class BiLM(nn.Module):
    """Bidirectional language model, the network behind ELMo.

    config (ElmoConfig): Sizes and variant.

    Attributes:
    softmax (Union[FullSoftmax, AdaptiveSoftmax, None]): What predicts words; None in models that only give vectors.
    width (int): Width of a layer's vectors.
    cache (WordCache): Vectors of words met before; used in evaluation without gradient.
    """

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self._indexer: Optional[Indexer] = None
        self.cache = WordCache()
        self._carried: Optional[BiLMState] = None
        self._start: Derived[BiLMState] = Derived()
        self.token_encoder: nn.Module = CharCNN(config) if config.token_encoder == "characters" else _word_table(config)
        self.forward_lm = LSTMStack(config)
        self.backward_lm = LSTMStack(config) if config.directions == "both" else None
        self.softmax = _build_softmax(config)

    @property
    def indexer(self) -> Optional[Indexer]:
        """How words become the model's units; None until `attach_indexer` is called, as `build_model` does."""
        return self._indexer

    def attach_indexer(self, indexer: Indexer) -> None:
        """Let the model read words.

        indexer (Indexer): Of kind "characters", or "vocabulary" for a model with a table of words.
        RAISES: ValueError G111 for another kind, G108 if it numbers more or fewer units than the model has.
        """
        config, kind = self.config, _INDEXERS[self.config.token_encoder]
        if not isinstance(indexer, kind):
            raise ValueError(Errors.G111.format(found=indexer.kind, kind=kind.kind, encoder=config.token_encoder))
        checks: List[Tuple[int, Optional[int], str]]
        if isinstance(indexer, CharIndexer):
            checks = [(indexer.n_characters, config.n_characters, "characters")]
            checks += [(indexer.max_characters, config.max_characters, "characters a word at most")]
        else:
            checks = [(len(indexer), config.vocab_size, "words")]
        for found, expected, units in checks:
            if found != expected:
                raise ValueError(Errors.G108.format(found=found, units=units, expected=expected))
        self._indexer = indexer
        self.cache.clear()
        self._start = Derived()

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

    def layers(self, sentences: Sentences, *, state: str = "zero", batch_tokens: int = BATCH_TOKENS) -> List[Layers]:
        """All layers of each token, in evaluation mode and without gradient.

        sentences (Sentences): Tokens of each sentence, as the model's tokeniser gives them; any may be empty.
        state (str): "zero" starts each sentence afresh, so that a text has the same vectors in any company. "carry" is
            what bilm-tf does: the sentences are one batch, row i goes on where row i of the call before ended, and rows
            not in use keep their state.
        batch_tokens (int): Places computed together at most; memory grows with it.
        RETURNS (List[Layers]): For each sentence, token vectors first. Shape of each: (layers + 1, tokens, width).
        RAISES: ValueError G017 for anything but lists of strings, G107 without an indexer, G109 for another `state`.
        """
        if state not in STATES:
            raise ValueError(Errors.G109.format(state=state, options=", ".join(STATES)))
        read = self._carry_on if state == "carry" else self._start_afresh
        was_training = self.training
        if was_training:
            self.eval()
        try:
            with torch.no_grad():
                words, rows = distinct_words(sentences)
                numbered = read(rows, self._vectors_of(words), batch_tokens)
                found = {number: layers.float().cpu().numpy() for number, layers in numbered}
        finally:
            if was_training:
                self.train()
        empty = np.zeros((self.config.n_layers + 1, 0, self.width), dtype=np.float32)
        return [found.get(number, empty) for number in range(len(rows))]

    def layer_tensors(
        self, sentences: Sentences, *, keep_graph: bool = False, batch_tokens: int = BATCH_TOKENS
    ) -> List[Tensor]:
        """As `layers` with zero state, as tensors and in the model's own mode.

        keep_graph (bool): Let gradients reach the parameters; dropout acts in training mode.
        RETURNS (List[Tensor]): Shape of each: (layers + 1, tokens, width).
        """
        words, rows = distinct_words(sentences)
        with torch.set_grad_enabled(keep_graph):
            vectors = self._vectors_of(words)
            found = dict(self._start_afresh(rows, vectors, batch_tokens))
        empty = vectors.new_zeros(self.config.n_layers + 1, 0, self.width)
        return [found.get(number, empty) for number in range(len(rows))]

    def reset_state(self) -> None:
        """Forget what `layers(…, state="carry")` remembers of earlier calls."""
        self._carried = None

    def mix(
        self,
        layers: Union[Layers, Sequence[Layers]],
        weights: Sequence[float],
        gamma: float = 1.0,
        *,
        layer_norm: bool = False,
    ) -> Union[Layers, List[Layers]]:
        """Mix the layers of one or several sentences: gamma * sum_j softmax(weights)_j h_j.

        layers (Union[Layers, Sequence[Layers]]): As `layers` gives them. Shape of each: (layers, tokens, width).
        weights (Sequence[float]): One per layer, before the soft-max.
        gamma (float): Scale of the result.
        layer_norm (bool): Normalise each layer first, by mean and variance over all tokens that are given.
        RETURNS (Union[Layers, List[Layers]]): Shape of each: (tokens, width).
        RAISES: ValueError G110 for another number of weights.
        """
        return mix_layers(layers, weights, gamma, layer_norm=layer_norm)

    def _vectors_of(self, words: List[str]) -> Tensor:
        """Vectors of different words, from the cache if nothing is learned. Shape: (words, projection)."""
        if torch.is_grad_enabled() or self.training:
            return self._encode_words(words)
        return self.cache.vectors(words, self.token_encoder, self._encode_words)

    def _encode_words(self, words: List[str]) -> Tensor:
        if self.indexer is None:
            raise ValueError(Errors.G107)
        units = torch.from_numpy(self.indexer.ids(words).astype(np.int64))
        return self.token_vectors(units.to(self._device))

    @property
    def _device(self) -> torch.device:
        return next(self.token_encoder.parameters()).device

    def _start_afresh(self, rows: List[Ids], vectors: Tensor, batch_tokens: int) -> Numbered:
        """Each sentence from zero state; batches of like length, numbers of sentences with their layers."""
        # All sentences begin with the same boundary: without gradient it is read once, with gradient in each.
        begin = torch.is_grad_enabled()
        start = None if begin else self._after_boundary(vectors)
        for numbers in plan_batches([len(row) for row in rows], batch_tokens):
            batch = make_batch([rows[number] for number in numbers], begin=begin, end=False)
            directions, _ = self._run(batch, vectors, start and start.expand(len(numbers)), batch_tokens)
            for place, number in enumerate(numbers):
                yield number, _side_by_side(directions, place, int(begin), len(rows[number]))

    def _after_boundary(self, vectors: Tensor) -> BiLMState:
        """The state of a single row that has read the first boundary."""

        def read() -> BiLMState:
            return self.encode(vectors[BEGIN, None, None], vectors[END, None, None])[2]

        return read() if self.training else self._start.get(self, precisions(self), read)

    def _carry_on(self, rows: List[Ids], vectors: Tensor, batch_tokens: int) -> Numbered:
        """All sentences as one batch, from the state of the call before."""
        if not rows:
            return
        batch = make_batch(rows, begin=True, end=True)
        state = None if self._carried is None else self._carried.first_rows(len(rows))
        directions, end = self._run(batch, vectors, state, batch_tokens)
        self._carried = end and end.and_rest_of(self._carried)
        for number, row in enumerate(rows):
            yield number, _side_by_side(directions, number, 1, len(row))

    def _run(
        self, batch: Batch, vectors: Tensor, state: Optional[BiLMState], batch_tokens: int
    ) -> Tuple[List[Tensor], Optional[BiLMState]]:
        """Token vectors and layers of each direction, in its reading order, (layers + 1, batch, seq, projection).

        Without gradient a text longer than a batch is read in parts, so that memory does not grow with it.
        """
        n_rows, seq = batch.forward.shape
        step = seq if torch.is_grad_enabled() else max(batch_tokens // n_rows, 1)
        parts: List[List[Tensor]] = []
        for begin in range(0, seq, step):
            forward_ids, backward_ids, mask = (
                None if each is None else torch.from_numpy(each[:, begin : begin + step]).to(vectors.device)
                for each in batch
            )
            inputs = [vectors[forward_ids], vectors[backward_ids]]  # (batch, seq, projection) each
            *outputs, state = self.encode(inputs[0], inputs[1], mask=mask, state=state)
            parts.append([torch.stack([each, *layers]) for each, layers in zip(inputs, outputs) if layers])
        if len(parts) == 1:
            return parts[0], state
        return [torch.cat(direction, dim=2) for direction in zip(*parts)], state


def _side_by_side(directions: List[Tensor], row: int, begin: int, n_words: int) -> Tensor:
    """One sentence in reading order, without boundaries. Shape: (layers + 1, tokens, width)."""
    forward, *backward = (direction[:, row, begin : begin + n_words] for direction in directions)
    return torch.cat([forward, *(layers.flip(1) for layers in backward)], dim=2)


def _word_table(config: ElmoConfig) -> nn.Embedding:
    table = nn.Embedding(config.vocab_size or 0, config.projection_width)
    nn.init.xavier_uniform_(table.weight)
    return table


def _build_softmax(config: ElmoConfig) -> Union[FullSoftmax, AdaptiveSoftmax, None]:
    size, width = config.vocab_size or 0, config.projection_width
    if config.softmax == "full":
        return FullSoftmax(size, width)
    return AdaptiveSoftmax(size, width, config.adaptive_cutoffs) if config.softmax == "adaptive" else None
