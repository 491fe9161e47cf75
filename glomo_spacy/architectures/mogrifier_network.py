"""A language model inside a pipeline: what it reads of a Doc, and what it says of each token.

Source: Melis et al. 2020 (arXiv 1909.01792) for the model; a token's surprisal, -log2 of its probability after all that
stands before it, goes back to Hale 2001, "A Probabilistic Earley Parser as a Psycholinguistic Model".
"""

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import torch
from spacy.tokens import Doc
from torch import Tensor

from ..errors import Errors
from ..indexers import END_SENTENCE
from ..models.checkpoint import Checkpoint
from ..models.mogrifier import Annotation, LanguageModel
from ..models.precision import PRECISIONS, set_precision
from .features import FeatureNetwork
from .fine_tuning import FineTuning
from .seam import doc_windows
from .sentence_watch import SentenceWatch

CHOICES: Dict[str, Tuple[str, ...]] = {"sentences": ("use", "require", "ignore"), "precision": PRECISIONS}


@dataclass(frozen=True)
class MogrifierSettings:
    """The arguments of `glomo_spacy.MogrifierLM.v1` beside weights and dropout, which explains them.

    RAISES: ValueError G100 for an unknown choice.
    """

    width: Optional[int] = None
    trainable: bool = False
    sentences: str = "use"
    precision: str = "float32"
    tuning: FineTuning = FineTuning()

    def __post_init__(self) -> None:
        for name, options in CHOICES.items():
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))


class Surprisal(NamedTuple):
    """What a language model says of a Doc; everything is 0 for whitespace.

    bits (ndarray): -log2 P(token | all before it), of an unknown one with its spelling. Shape: (tokens,).
    end_bits (ndarray): That of the end of the sentence behind the token, 0 if none is read there. Shape: (tokens,).
    is_unknown (ndarray): Which tokens the model's vocabulary lacks. Shape: (tokens,).
    states (Optional[ndarray]): The model's output after each token. Shape: (tokens, width).
    """

    bits: npt.NDArray[np.float32]
    end_bits: npt.NDArray[np.float32]
    is_unknown: npt.NDArray[np.bool_]
    states: Optional[npt.NDArray[np.float32]] = None


class Reading(NamedTuple):
    """What the model reads of a Doc: its words, and `</S>` between sentences.

    words (List[str]): The whole text, with `</S>` behind each sentence but the last one.
    tokens (ndarray): Position of each word's token; of `</S>`, that of the word before it. Shape: (words,).
    is_end (ndarray): Which words are `</S>`. Shape: (words,).
    has_last_end (bool): Whether the text ends with a sentence, so that `</S>` may be expected there too.
    """

    words: List[str]
    tokens: npt.NDArray[np.int64]
    is_end: npt.NDArray[np.bool_]
    has_last_end: bool


class MogrifierNetwork(FeatureNetwork):
    """A language model that reads Docs.

    settings (MogrifierSettings): Now and for stored weights.
    checkpoint, source, problem: As for `PretrainedNetwork`.
    RAISES: As there; ValueError G060 if its states are of another width than the settings say, G061 if the checkpoint
        has no vocabulary, G115 if `unfreeze` does not fit.
    """

    def __init__(
        self,
        settings: MogrifierSettings,
        checkpoint: Optional[Checkpoint] = None,
        *,
        source: str = "the stored weights",
        problem: str = "",
    ) -> None:
        super().__init__("mogrifier", checkpoint, source=source, problem=problem)
        self.settings = settings
        self.watch = SentenceWatch() if settings.sentences == "use" else None
        if checkpoint is not None:
            network: LanguageModel = self.network
            self.fine_tune(settings.tuning if settings.trainable else None)
            if network.indexer is None:
                raise ValueError(Errors.G061.format(path=source))
            set_precision(network, settings.precision)
            if settings.width not in (None, self.width):
                raise ValueError(Errors.G060.format(path=source, found=self.width, expected=settings.width))

    @property
    def given(self) -> MogrifierSettings:
        """Its settings."""
        return self.settings

    @property
    def requires_sentences(self) -> bool:
        return self.settings.sentences == "require"

    @property
    def width(self) -> int:
        """Of a state. RAISES: ValueError G120 without weights."""
        width: int = self.network.width
        return width

    def rows(self, docs: Sequence[Doc], *, is_train: bool) -> Tensor:
        """The output after each token, Doc after Doc; rows of whitespace are 0. Shape: (tokens, width).

        is_train (bool): Keep the graph if the model is trainable; it reaches back to the start of each Doc.
        RAISES: ValueError G120 without weights, G162 if sentences are missing.
        """
        network: LanguageModel = self.network
        readings = [self.reading(doc) for doc in docs]
        words = [reading.words for reading in readings]
        states = network.state_tensors(words, keep_graph=is_train and self.is_learning)
        rows = next(network.parameters()).new_zeros(sum(map(len, docs)), self.width)
        is_word = [torch.from_numpy(~reading.is_end).to(self.device) for reading in readings]
        found = torch.cat([rows[:0], *(each[places] for each, places in zip(states, is_word))])  # (words, width)
        first_rows = np.cumsum([0, *map(len, docs)])
        positions = [reading.tokens[~reading.is_end] + first for reading, first in zip(readings, first_rows)]
        places = torch.from_numpy(np.concatenate([np.zeros(0, dtype=np.int64), *positions]))
        return rows.index_copy_(0, places.to(self.device), found)

    def surprisals(self, docs: Sequence[Doc], *, has_states: bool = False) -> List[Surprisal]:
        """What every token and every end of a sentence costs.

        has_states (bool): Give the model's outputs too.
        RAISES: ValueError G120 without weights, G162 if sentences are missing.
        """
        network: LanguageModel = self.network
        readings = [self.reading(doc) for doc in docs]
        found = network.annotate([reading.words for reading in readings], has_states=has_states)
        return [
            _by_token(reading, annotation, n_tokens=len(doc), has_states=has_states)
            for doc, reading, annotation in zip(docs, readings, found)
        ]

    def reading(self, doc: Doc) -> Reading:
        """What the model reads of a Doc. RAISES: ValueError G162 if sentences are required and missing."""
        sentences = [
            window.tokens
            for window in doc_windows([doc], sentences=self.settings.sentences, max_window=None)
            if len(window)
        ]
        words: List[str] = []
        tokens: List[int] = []
        is_end: List[bool] = []
        for number, sentence in enumerate(sentences):
            if number:
                words.append(END_SENTENCE)
                tokens.append(tokens[-1])
                is_end.append(True)
            words += [doc[position].text for position in sentence.tolist()]
            tokens += sentence.tolist()
            is_end += [False] * len(sentence)
        has_sentences = self.settings.sentences != "ignore" and doc.has_annotation("SENT_START")
        return Reading(words, np.asarray(tokens, dtype=np.int64), np.asarray(is_end, dtype=bool), has_sentences)


def _by_token(reading: Reading, found: Annotation, *, n_tokens: int, has_states: bool) -> Surprisal:
    """From what was read to spaCy's tokens."""
    bits, end_bits = np.zeros((2, n_tokens), dtype=np.float32)
    is_unknown = np.zeros(n_tokens, dtype=bool)
    words, ends = reading.tokens[~reading.is_end], reading.tokens[reading.is_end]
    costs = -found.scores[:-1]
    bits[words], end_bits[ends] = costs[~reading.is_end], costs[reading.is_end]
    if reading.has_last_end and len(words):
        end_bits[words[-1]] = -found.scores[-1]
    is_unknown[words] = found.is_unknown[~reading.is_end]
    states = None
    if has_states:
        states = np.zeros((n_tokens, found.states.shape[1]), dtype=np.float32)
        states[words] = found.states[~reading.is_end]
    return Surprisal(bits, end_bits, is_unknown, states)
