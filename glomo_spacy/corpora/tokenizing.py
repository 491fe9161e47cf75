"""Tokenise a stream of text with a blank spaCy pipeline in several processes, into one flat array of token ids.

The ids are provisional: distinct tokens are numbered as they appear, and stand on disk until the vocabulary is known.
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

_tokenizer: "_Tokenizer"  # of a worker process


@dataclass
class TokenStore:
    """A tokenised text on disk.

    path (Path): uint32 numbers of distinct tokens, one document after the other.
    types (List[str]): The distinct tokens by number, in the form in which they stand in the text.
    ends (array): For each document the position after its last token. Documents without tokens are left out.
    """

    path: Path
    types: List[str] = field(default_factory=list)
    ends: "array[int]" = field(default_factory=lambda: array("q"))

    @property
    def tokens(self) -> npt.NDArray[np.uint32]:
        """The token numbers, mapped from disk."""
        if not self.ends:
            return np.zeros(0, dtype=np.uint32)
        return np.memmap(self.path, dtype=np.uint32, mode="r")


@dataclass(frozen=True)
class _Chunk:
    lines: List[str]
    begins: List[bool]  # per line: a document begins here


@dataclass(frozen=True)
class _TokenizedChunk:
    types: List[str]
    tokens: npt.NDArray[np.uint32]  # indices into `types`
    line_ends: npt.NDArray[np.int64]  # per line: the position after its last token
    begins: List[bool]
    n_bytes: int


def blank_pipeline(lang: str) -> Language:
    """A pipeline that only tokenises.

    RAISES: G008 (ValueError) if spaCy has no such language or its tokeniser needs a package that is not installed.
    """
    try:
        return spacy.blank(lang)
    except ImportError as error:
        raise ValueError(Errors.G008.format(lang=lang, reason=str(error).splitlines()[0])) from error


def tokenize_lines(
    lines: Iterable[Tuple[str, bool]],
    *,
    path: Path,
    lang: str,
    n_process: int = 1,
    progress: Callable[[int], Any] = lambda n_bytes: None,
) -> TokenStore:
    """Tokenise lines into a token store; white-space tokens are dropped.

    lines (Iterable[Tuple[str, bool]]): Lines and whether a document begins with them. They are tokenised one by one.
    path (Path): Where the token numbers are written.
    lang (str): Language code, as for `spacy.blank`.
    n_process (int): Processes that tokenise. The result is the same for any number.
    progress (Callable[[int], Any]): Called with the number of bytes of each finished part.
    RETURNS (TokenStore): What was read. Memory holds the distinct tokens and one number per document, not the text.
    """
    store = TokenStore(path)
    numbers: Dict[str, int] = {}
    n_tokens = 0
    with path.open("wb") as file:
        for chunk in _tokenize_chunks(_chunks(lines), lang=lang, n_process=n_process):
            n_tokens = _append(chunk, store=store, numbers=numbers, file=file, n_tokens=n_tokens)
            progress(chunk.n_bytes)
    _end_document(store, n_tokens=n_tokens)
    store.types = list(numbers)
    return store


def _append(
    chunk: _TokenizedChunk, *, store: TokenStore, numbers: Dict[str, int], file: IO[bytes], n_tokens: int
) -> int:
    """Write a chunk behind `n_tokens` others; returns the new number of tokens."""
    renumber = np.fromiter((numbers.setdefault(text, len(numbers)) for text in chunk.types), np.uint32)
    file.write(renumber[chunk.tokens].tobytes())
    line_starts = n_tokens + np.concatenate([[0], chunk.line_ends[:-1]])
    for start in line_starts[np.asarray(chunk.begins)]:
        _end_document(store, n_tokens=int(start))
    return n_tokens + len(chunk.tokens)


def _end_document(store: TokenStore, *, n_tokens: int) -> None:
    if n_tokens > (store.ends[-1] if store.ends else 0):
        store.ends.append(n_tokens)


def _chunks(lines: Iterable[Tuple[str, bool]]) -> Iterator[_Chunk]:
    """Group lines by size alone, so that the groups do not depend on the number of processes."""
    texts: List[str] = []
    begins: List[bool] = []
    size = 0
    for text, begins_document in lines:
        texts.append(text)
        begins.append(begins_document)
        size += len(text)
        if size >= _CHUNK:
            yield _Chunk(texts, begins)
            texts, begins, size = [], [], 0
    if texts:
        yield _Chunk(texts, begins)


def _tokenize_chunks(chunks: Iterator[_Chunk], *, lang: str, n_process: int) -> Iterator[_TokenizedChunk]:
    tokenizer = _Tokenizer(lang)  # here in any case: an unknown language is an error of this process
    if n_process == 1:
        yield from map(tokenizer, chunks)
        return
    # Spawned, since a forked process inherits locks held by threads that it does not have.
    pool = ProcessPoolExecutor(n_process, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(lang,))
    waiting: Deque[Future[_TokenizedChunk]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_tokenize_in_worker, chunk))
            if len(waiting) > _WAITING * n_process:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(lang: str) -> None:
    global _tokenizer
    _tokenizer = _Tokenizer(lang)


def _tokenize_in_worker(chunk: _Chunk) -> _TokenizedChunk:
    return _tokenizer(chunk)


class _Tokenizer:
    """Tokenise chunks with a pipeline that is made anew before the words it remembers take much memory.

    spaCy's own remedy, `nlp.memory_zone`, keeps the tokeniser from caching and takes twice the time.
    """

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.nlp = blank_pipeline(lang)

    def __call__(self, chunk: _Chunk) -> _TokenizedChunk:
        if len(self.nlp.vocab) > _MOST_LEXEMES:
            self.nlp = blank_pipeline(self.lang)
        per_line = [self.nlp.tokenizer(line).to_array("ORTH") for line in chunk.lines]
        hashes, inverse = np.unique(np.concatenate(per_line), return_inverse=True)
        texts = [self.nlp.vocab.strings[key] for key in hashes.tolist()]
        is_word = np.array([bool(text) and not text.isspace() for text in texts], dtype=bool)
        kept = is_word[inverse]  # (tokens,)
        n_kept = np.concatenate([[0], np.cumsum(kept)])  # before each token, and at the end
        return _TokenizedChunk(
            types=[text for text, keep in zip(texts, is_word, strict=True) if keep],
            tokens=(np.cumsum(is_word) - 1)[inverse[kept]].astype(np.uint32),
            line_ends=n_kept[np.cumsum([len(line) for line in per_line])],
            begins=chunk.begins,
            n_bytes=sum(len(line.encode("utf8")) for line in chunk.lines),
        )
