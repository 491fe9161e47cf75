"""Cut lines into sentences of tokens: raw text by rules, tokenised text at its line ends.

The rule is that of spaCy's `sentencizer`: a sentence ends with a mark such as "." and the punctuation right after it.
"""

from array import array
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import numpy.typing as npt
from spacy.pipeline import Sentencizer

from .tokenizing import Chunk, SpacyTokenizer, TokenizedChunk, TokenStore

_BLOCK = 1 << 20  # tokens counted at a time


@dataclass
class SentenceStore(TokenStore):
    """A tokenised text on disk, divided into sentences, and these into documents.

    ends (array): For each sentence the position after its last token. Sentences without tokens are left out.
    documents (array): For each document the number of its first sentence. Documents without tokens are left out.
    """

    documents: "array[int]" = field(default_factory=lambda: array("q"))

    def note(self, chunk: TokenizedChunk) -> None:
        """Take note of where sentences end and documents begin in a chunk that begins at `n_tokens`."""
        last = self.ends[-1] if self.ends else 0
        for end, begins in zip((self.n_tokens + chunk.ends).tolist(), chunk.begins, strict=True):
            if begins:
                self._begin_document()
            if end > last:
                self.ends.append(end)
                last = end

    def close(self) -> None:
        """The text ends here."""
        if self.documents and self.documents[-1] == len(self.ends):
            self.documents.pop()

    def count(self, sentences: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How often each token stands in some sentences, given by number. Shape: (types,)."""
        is_wanted = np.zeros(len(self.ends), dtype=bool)
        is_wanted[sentences] = True
        ends, tokens, n_types = np.asarray(self.ends), self.tokens, len(self.types)
        counts = np.zeros(n_types, dtype=np.int64)
        for begin in range(0, len(tokens), _BLOCK):
            block = tokens[begin : begin + _BLOCK]
            sentence = np.searchsorted(ends, np.arange(begin, begin + len(block)), side="right")  # per token
            counts += np.bincount(block[is_wanted[sentence]], minlength=n_types)
        return counts

    def _begin_document(self) -> None:
        if not self.documents or self.documents[-1] < len(self.ends):
            self.documents.append(len(self.ends))


class SentenceTokenizer(SpacyTokenizer):
    """Tokenise raw text; the units are sentences. A line end always ends one.

    lang (str): Language code, as for `spacy.blank`.
    max_tokens (Optional[int]): Cut sentences after so many tokens. None: however long.
    RAISES: G008 (ValueError) if there is no such language.
    """

    def __init__(self, lang: str, *, max_tokens: Optional[int] = None) -> None:
        super().__init__(lang)
        self.max_tokens = max_tokens

    def __call__(self, chunk: Chunk) -> TokenizedChunk:
        return _cut_long(super().__call__(chunk), max_tokens=self.max_tokens)

    def cut(
        self, texts: List[str], tokens: npt.NDArray[Any], *, line_ends: npt.NDArray[np.int64], begins: List[bool]
    ) -> Tuple[npt.NDArray[np.int64], List[bool]]:
        marks = set(Sentencizer.default_punct_chars)
        is_mark = np.array([text in marks for text in texts], dtype=bool)
        is_punct = np.array([bool(text) and self.nlp.vocab[text].is_punct for text in texts], dtype=bool) | is_mark
        starts = _sentence_starts(is_mark[tokens], is_punct[tokens], line_ends=line_ends)
        line_starts = np.concatenate([[0], line_ends[:-1]])
        is_first = dict(zip(line_starts.tolist(), begins, strict=True))
        return np.append(starts[1:], line_ends[-1]), [is_first.get(start, False) for start in starts.tolist()]


class WhiteSpaceTokenizer:
    """Read tokenised text: tokens stand between white space, each line is a sentence.

    max_tokens (Optional[int]): Cut sentences after so many tokens. None: however long.
    """

    def __init__(self, *, max_tokens: Optional[int] = None) -> None:
        self.max_tokens = max_tokens

    def __call__(self, chunk: Chunk) -> TokenizedChunk:
        numbers: Dict[str, int] = {}
        lines = [line.split() for line in chunk.lines]
        tokens = np.fromiter((numbers.setdefault(word, len(numbers)) for words in lines for word in words), np.uint32)
        ends = np.cumsum([len(words) for words in lines])
        units = TokenizedChunk(
            types=list(numbers), tokens=tokens, ends=ends, begins=chunk.begins, n_bytes=chunk.n_bytes
        )
        return _cut_long(units, max_tokens=self.max_tokens)


def _sentence_starts(
    is_mark: npt.NDArray[np.bool_], is_punct: npt.NDArray[np.bool_], *, line_ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Where sentences start: at each line, and at each token that is no punctuation if the run of punctuation right
    before it in the line has a mark. Shape of the arguments and, at most, of the result: (tokens,)."""
    place = np.arange(len(is_mark))
    starts_line = np.zeros(len(is_mark), dtype=bool)
    starts_line[np.append(0, line_ends[:-1])] = True
    last_mark = np.maximum.accumulate(np.where(is_mark, place, -1))
    last_other = np.maximum.accumulate(np.where(~is_punct | starts_line, place, -1))
    follows_mark = np.zeros(len(is_mark), dtype=bool)
    follows_mark[1:] = last_mark[:-1] >= last_other[:-1]  # equal: a mark that starts its line
    return np.flatnonzero(starts_line | (follows_mark & ~is_punct))


def _cut_long(chunk: TokenizedChunk, *, max_tokens: Optional[int]) -> TokenizedChunk:
    """Divide units that are longer than `max_tokens`."""
    lengths = np.diff(chunk.ends, prepend=0)
    if max_tokens is None or lengths.max(initial=0) <= max_tokens:
        return chunk
    ends: List[int] = []
    begins: List[bool] = []
    for end, length, begin in zip(chunk.ends.tolist(), lengths.tolist(), chunk.begins, strict=True):
        pieces = [*range(end - length + max_tokens, end, max_tokens), end]
        ends += pieces
        begins += [begin] + [False] * (len(pieces) - 1)
    return TokenizedChunk(chunk.types, chunk.tokens, np.asarray(ends), begins, chunk.n_bytes)
