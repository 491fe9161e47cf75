"""Tokenise a stream of text in several processes, into one flat array of token ids.

The ids are provisional: distinct tokens are numbered as they appear, and stand on disk until the vocabulary is known.
A tokeniser turns lines into tokens and says where its units end, lines here and sentences in `sentence_cutting.py`; a
store takes note of them.
"""

from array import array
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import IO, Any, Callable, Deque, Dict, Iterable, Iterator, List, Tuple

import numpy as np
import numpy.typing as npt
import spacy
from spacy.language import Language

from ..errors import Errors

_CHUNK = 1 << 21  # characters given to a process at a time
_WAITING = 2  # chunks per process that are read ahead
_MOST_LEXEMES = 250_000  # kept by one pipeline: some 100 MB


@dataclass(frozen=True)
class Chunk:
    """Some lines of text.

    lines (List[str]): Each with some text.
    begins (List[bool]): Per line whether a document begins with it.
    """

    lines: List[str]
    begins: List[bool]

    @property
    def n_bytes(self) -> int:
        """Size of the text in UTF-8."""
        return sum(len(line.encode("utf8")) for line in self.lines)


@dataclass(frozen=True)
class TokenizedChunk:
    """The tokens of a chunk, divided into units: lines or sentences.

    types (List[str]): Distinct tokens; some may not occur.
    tokens (ndarray): Indices into `types`. Shape: (tokens,), uint32.
    ends (ndarray): Per unit the position after its last token. A unit may be empty.
    begins (List[bool]): Per unit whether a document begins with it.
    n_bytes (int): Size of the text.
    """

    types: List[str]
    tokens: npt.NDArray[np.uint32]
    ends: npt.NDArray[np.int64]
    begins: List[bool]
    n_bytes: int


Tokenizer = Callable[[Chunk], TokenizedChunk]

_tokenizer: Tokenizer  # of a worker process


@dataclass
class TokenStore:
    """A tokenised text on disk, divided into documents.

    path (Path): uint32 numbers of distinct tokens, one document after the other.
    ends (array): For each document the position after its last token. Documents without tokens are left out.
    n_tokens (int): Tokens so far.
    """

    path: Path
    ends: "array[int]" = field(default_factory=lambda: array("q"))
    n_tokens: int = 0
    _numbers: Dict[str, int] = field(default_factory=dict)

    @property
    def types(self) -> List[str]:
        """The distinct tokens by number, in the form in which they stand in the text."""
        return list(self._numbers)

    @property
    def tokens(self) -> npt.NDArray[np.uint32]:
        """The token numbers, mapped from disk."""
        if not self.n_tokens:
            return np.zeros(0, dtype=np.uint32)
        return np.memmap(self.path, dtype=np.uint32, mode="r")

    def append(self, chunk: TokenizedChunk, *, file: IO[bytes]) -> None:
        """Write a chunk behind the others and take note of its units."""
        numbers = self._numbers
        renumber = np.fromiter((numbers.setdefault(text, len(numbers)) for text in chunk.types), np.uint32)
        file.write(renumber[chunk.tokens].tobytes())
        self.note(chunk)
        self.n_tokens += len(chunk.tokens)

    def note(self, chunk: TokenizedChunk) -> None:
        """Take note of where documents end in a chunk that begins at `n_tokens`."""
        starts = self.n_tokens + np.concatenate([[0], chunk.ends[:-1]])
        for start in starts[np.asarray(chunk.begins)]:
            self._end_document(int(start))

    def close(self) -> None:
        """The text ends here."""
        self._end_document(self.n_tokens)

    def _end_document(self, n_tokens: int) -> None:
        if n_tokens > (self.ends[-1] if self.ends else 0):
            self.ends.append(n_tokens)


def blank_pipeline(lang: str) -> Language:
    """A pipeline that only tokenises.

    RAISES: G008 (ValueError) if spaCy has no such language or its tokeniser needs a package that is not installed.
    """
    try:
        return spacy.blank(lang)
    except ImportError as error:
        raise ValueError(Errors.G008.format(lang=lang, reason=str(error).splitlines()[0])) from error


class SpacyTokenizer:
    """Tokenise chunks with a pipeline that is made anew before the words it remembers take much memory; the units are
    the lines. White-space tokens are dropped.

    spaCy's own remedy, `nlp.memory_zone`, keeps the tokeniser from caching and takes twice the time.

    lang (str): Language code, as for `spacy.blank`.
    RAISES: G008 (ValueError) if there is no such language.
    """

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.nlp = blank_pipeline(lang)

    def __call__(self, chunk: Chunk) -> TokenizedChunk:
        if len(self.nlp.vocab) > _MOST_LEXEMES:
            self.nlp = blank_pipeline(self.lang)
        per_line = [self.nlp.tokenizer(line).to_array("ORTH") for line in chunk.lines]
        hashes, inverse = np.unique(np.concatenate(per_line), return_inverse=True)
        texts = [self.nlp.vocab.strings[key] for key in hashes.tolist()]
        is_word = np.array([bool(text) and not text.isspace() for text in texts], dtype=bool)
        kept = is_word[inverse]  # (tokens,)
        n_kept = np.concatenate([[0], np.cumsum(kept)])  # before each token, and at the end
        line_ends = np.cumsum([len(line) for line in per_line])
        ends, begins = self.cut(texts, inverse, line_ends=line_ends, begins=chunk.begins)
        return TokenizedChunk(
            types=[text for text, keep in zip(texts, is_word, strict=True) if keep],
            tokens=(np.cumsum(is_word) - 1)[inverse[kept]].astype(np.uint32),
            ends=n_kept[ends],
            begins=begins,
            n_bytes=chunk.n_bytes,
        )

    def cut(
        self, texts: List[str], tokens: npt.NDArray[Any], *, line_ends: npt.NDArray[np.int64], begins: List[bool]
    ) -> Tuple[npt.NDArray[np.int64], List[bool]]:
        """Divide into units the tokens, indices into `texts`: returns `ends` and `begins` of a `TokenizedChunk`."""
        return line_ends, begins


def tokenize_lines(
    lines: Iterable[Tuple[str, bool]],
    *,
    store: TokenStore,
    tokenizer: Callable[[], Tokenizer],
    n_process: int = 1,
    progress: Callable[[int], Any] = lambda n_bytes: None,
) -> None:
    """Tokenise lines into a token store, behind what it holds. Memory holds the distinct tokens and one number per
    document or sentence, not the text.

    lines (Iterable[Tuple[str, bool]]): Lines and whether a document begins with them. They are tokenised one by one.
    store (TokenStore): Where the tokens go.
    tokenizer (Callable[[], Tokenizer]): Makes the tokeniser, in this process and in each that works for it, such as
        `partial(SpacyTokenizer, "en")`.
    n_process (int): Processes that tokenise. The result is the same for any number.
    progress (Callable[[int], Any]): Called with the number of bytes of each finished part.
    """
    with store.path.open("ab") as file:
        for chunk in _tokenize_chunks(_chunks(lines), tokenizer=tokenizer, n_process=n_process):
            store.append(chunk, file=file)
            progress(chunk.n_bytes)
    store.close()


def _chunks(lines: Iterable[Tuple[str, bool]]) -> Iterator[Chunk]:
    """Group lines by size alone, so that the groups do not depend on the number of processes."""
    texts: List[str] = []
    begins: List[bool] = []
    size = 0
    for text, begins_document in lines:
        texts.append(text)
        begins.append(begins_document)
        size += len(text)
        if size >= _CHUNK:
            yield Chunk(texts, begins)
            texts, begins, size = [], [], 0
    if texts:
        yield Chunk(texts, begins)


def _tokenize_chunks(
    chunks: Iterator[Chunk], *, tokenizer: Callable[[], Tokenizer], n_process: int
) -> Iterator[TokenizedChunk]:
    own = tokenizer()  # here in any case: an unknown language is an error of this process
    if n_process == 1:
        yield from map(own, chunks)
        return
    # Spawned, since a forked process inherits locks held by threads that it does not have.
    spawn = get_context("spawn")
    pool = ProcessPoolExecutor(n_process, mp_context=spawn, initializer=_start_worker, initargs=(tokenizer,))
    waiting: Deque[Future[TokenizedChunk]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_tokenize_in_worker, chunk))
            if len(waiting) > _WAITING * n_process:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(tokenizer: Callable[[], Tokenizer]) -> None:
    global _tokenizer
    _tokenizer = tokenizer()


def _tokenize_in_worker(chunk: Chunk) -> TokenizedChunk:
    return _tokenizer(chunk)
