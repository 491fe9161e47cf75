"""Questions and contexts as batches in which equal texts stand once: a paragraph is read once for all its questions."""

from typing import Any, Dict, Hashable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc
from torch import Tensor

from ..corpora.squad_alignment import align_answer, training_window, windows
from .seam import Window, length_batches, pad_windows

# What a tok2vec may read of a token: texts that agree in all of these get the same rows.
_ATTRIBUTES: List[Union[int, str]] = [
    *("ORTH", "NORM", "SPACY", "SENT_START", "TAG", "POS", "MORPH", "LEMMA"),
    *("DEP", "HEAD", "ENT_IOB", "ENT_TYPE"),
]

_QUOTES = ("''", "``")

MAX_TOKENS = 8192  # padded context tokens per batch, one context per question: recurrent steps are shared by its rows
MAX_CELLS = 1 << 22  # the same squared: 16 MB of float32 for the self-attention
MAX_GRAPH_CELLS = 1 << 20  # with graphs, of which each context brings dozens


class Passage(NamedTuple):
    """What a reader sees at once: a question, and a context or a window of one.

    context (Doc), question (Doc): The texts.
    tokens (ndarray): Positions in the context, ascending, at least one; whitespace is left out. Shape: (seen,).
    """

    context: Doc
    question: Doc
    tokens: npt.NDArray[np.int64]


def context_passages(context: Doc, question: Doc) -> List[Passage]:
    """A question with every window of its context; none if that has no words.

    A context of up to 400 tokens is one window, a longer one has windows of 400 that overlap by half.
    """
    tokens = seen_tokens(context)
    return [Passage(context, question, tokens[begin:end]) for begin, end in windows(len(tokens)) if begin < end]


def training_passage(context: Doc, question: Doc, *, start: int, end: int) -> Optional[Tuple[Passage, Tuple[int, int]]]:
    """What is trained on: the context, or 400 tokens of it around the answer.

    start (int), end (int): First character of the answer, and the one after its last.
    RETURNS (Optional[Tuple[Passage, Tuple[int, int]]]): The passage, and the first and last token of the answer among
        those seen; None if it shares no character with any.
    """
    tokens = seen_tokens(context)
    begins = context.to_array("IDX")[tokens].astype(np.int64)
    offsets = np.stack([begins, begins + context.to_array("LENGTH")[tokens].astype(np.int64)], axis=1)  # (seen, 2)
    answer = align_answer(offsets, start, end)
    if answer is None:
        return None
    begin, stop = training_window(len(tokens), answer)
    return Passage(context, question, tokens[begin:stop]), (answer[0] - begin, answer[1] - begin)


class PassageBatch(NamedTuple):
    """Passages of similar length with their texts, each once.

    members (List[int]): Places of the passages.
    contexts, questions (List[int]): Places of their windows in `DistinctTexts.windows`; a context may serve several
        questions, so there are as many questions as passages and fewer contexts.
    owners (List[int]): For each passage the place of its context in `contexts`.
    """

    members: List[int]
    contexts: List[int]
    questions: List[int]
    owners: List[int]


class DistinctTexts:
    """The texts of passages without repetition.

    passages (Sequence[Passage]): Any; Docs that agree in all annotations are one text.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.docs: List[Doc] = []
        self.windows: List[Window] = []
        self._places: Dict[Hashable, int] = {}
        self.contexts = [self._window(passage.context, passage.tokens) for passage in passages]
        self.questions = [self._window(passage.question, seen_tokens(passage.question)) for passage in passages]

    def batches(self, *, has_graphs: bool) -> Iterator[PassageBatch]:
        """Passages of similar length together, and those of one context side by side.

        has_graphs (bool): Whether each context brings its graphs.
        """
        order = sorted(range(len(self.contexts)), key=lambda place: self.contexts[place])
        lengths = [len(self.windows[self.contexts[place]]) for place in order]
        max_cells = MAX_GRAPH_CELLS if has_graphs else MAX_CELLS
        for batch in length_batches(lengths, max_tokens=MAX_TOKENS, max_cells=max_cells):
            members = [order[index] for index in batch]
            contexts = list(dict.fromkeys(self.contexts[member] for member in members))
            owners = [contexts.index(self.contexts[member]) for member in members]
            yield PassageBatch(members, contexts, [self.questions[member] for member in members], owners)

    def types(self) -> Tuple[List[str], List[npt.NDArray[np.int64]]]:
        """All different words, and per Doc the place of each token's word among them. Shape of each: (tokens,)."""
        places: Dict[str, int] = {}
        ids = []
        for doc in self.docs:
            forms, inverse = np.unique(doc.to_array("ORTH"), return_inverse=True)
            words = [as_read(doc.vocab.strings[form]) for form in forms.tolist()]
            own = np.asarray([places.setdefault(word, len(places)) for word in words], dtype=np.int64)
            ids.append(own[inverse])
        return list(places), ids

    def words(self, places: Sequence[int]) -> List[List[str]]:
        """The tokens of windows."""
        windows = [self.windows[place] for place in places]
        return [[as_read(self.docs[window.doc][token].text) for token in window.tokens.tolist()] for window in windows]

    def positions(self, places: Sequence[int]) -> Tensor:
        """Rows of windows where the rows of all `docs` stand one after the other. Shape: (batch, seq)."""
        first_rows = np.cumsum([0, *map(len, self.docs)]).tolist()
        return pad_windows([self.windows[place] for place in places], first_rows=first_rows)[0]

    def _window(self, doc: Doc, tokens: npt.NDArray[np.int64]) -> int:
        """The place of a window, new or known."""
        text = self._place(doc.to_array(_ATTRIBUTES).tobytes(), self.docs, doc)
        window = Window(text, 0, len(doc), 0, len(doc), tokens)
        return self._place((text, tokens.tobytes()), self.windows, window)

    def _place(self, key: Hashable, items: List[Any], item: Any) -> int:
        if key not in self._places:
            self._places[key] = len(items)
            items.append(item)
        return self._places[key]


def as_read(token: str) -> str:
    """A token as readers were trained on it: quotes in the manner of the Penn Treebank became plain ones."""
    return '"' if token in _QUOTES else token


def seen_tokens(doc: Doc) -> npt.NDArray[np.int64]:
    """Positions of all tokens but whitespace. Shape: (seen,)."""
    return np.flatnonzero(doc.to_array("IS_SPACE") == 0)
