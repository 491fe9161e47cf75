"""A corpus of questions on disk: one directory, as in `shards.py`, read without spaCy.

corpus.json              format "squad", sizes and alignment of each split, sources, SHA-256 of each file
types.txt                every distinct token by falling count, in its own spelling; the place is the id
words.txt vectors.npy    the table of static word vectors, one word per row, if vectors were given
train.tokens.npy         uint32 ids of the tokens of all contexts, one context after the other
train.offsets.npy        int32 begin and end of each of these tokens, in characters of its context
train.contexts.npy       int64 where contexts begin in them, one more than there are contexts
train.questions.npy      uint32 ids of the tokens of all questions
train.ends.npy           int64 where questions begin in them, one more than there are questions
train.examples.npy       int32 per question: its context, first and last token of its last listed answer, or -1
train.contexts.jsonl     the texts of the contexts
train.records.jsonl      per question its id and its listed answers, for scoring
dev.…                    the held-out split
"""

import json
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from ..files import PathLike
from .shards import read_record, read_words

FORMAT = "squad"
TYPES_NAME = "types.txt"
WORDS_NAME = "words.txt"
VECTORS_NAME = "vectors.npy"
NO_ANSWER = -1

# Arrays of a split: type and rank of each.
ARRAYS = {
    "tokens": (np.uint32, 1),
    "offsets": (np.int32, 2),
    "contexts": (np.int64, 1),
    "questions": (np.uint32, 1),
    "ends": (np.int64, 1),
    "examples": (np.int32, 2),
}

Ids = npt.NDArray[np.int64]


class SquadQuestion(NamedTuple):
    """One question with its context.

    context (ndarray): Type ids of the context's tokens. Shape: (tokens,).
    question (ndarray): Type ids of the question's tokens. Shape: (tokens,).
    answer (Optional[Tuple[int, int]]): First and last token of the answer to train on: the last one listed, as
        published. None if it is not in the context.
    id (str): The data set's name for it.
    """

    context: Ids
    question: Ids
    answer: Optional[Tuple[int, int]]
    id: str


class SquadSplit:
    """One part of a corpus of questions. Arrays are mapped from disk; texts are read when they are asked for.

    directory (Path): The corpus.
    name (str): "train" or "dev".
    n_types (int): All type ids are lower.
    RAISES: G902 if a file is missing, cut or does not fit the others.
    """

    def __init__(self, directory: Path, name: str, *, n_types: int) -> None:
        self.directory = directory
        self.name = name
        self._arrays = {key: _load(directory / f"{name}.{key}.npy", *kind) for key, kind in ARRAYS.items()}
        self._check(n_types)

    @property
    def n_questions(self) -> int:
        """Number of questions."""
        return len(self._arrays["examples"])

    @property
    def n_contexts(self) -> int:
        """Number of contexts, each with one question or more."""
        return len(self._arrays["contexts"]) - 1

    @property
    def context_of(self) -> Ids:
        """The context of each question; questions on one context stand side by side. Shape: (questions,)."""
        return np.asarray(self._arrays["examples"][:, 0], dtype=np.int64)

    @property
    def answer_spans(self) -> Ids:
        """First and last token of each question's answer to train on, or -1. Shape: (questions, 2)."""
        return np.asarray(self._arrays["examples"][:, 1:], dtype=np.int64)

    @property
    def context_lengths(self) -> Ids:
        """Tokens of each context. Shape: (contexts,)."""
        return np.diff(self._arrays["contexts"])

    @property
    def question_lengths(self) -> Ids:
        """Tokens of each question. Shape: (questions,)."""
        return np.diff(self._arrays["ends"])

    @cached_property
    def ids(self) -> List[str]:
        """The data set's name of each question."""
        return [record["id"] for record in self._records]

    @cached_property
    def gold(self) -> Dict[str, List[str]]:
        """The listed answers by question id, as the scorer takes them."""
        return {record["id"]: record["answers"] for record in self._records}

    def token_counts(self, n_types: int) -> Ids:
        """How often each type stands in contexts and questions. Shape: (n_types,)."""
        parts = (np.bincount(self._arrays[name], minlength=n_types) for name in ("tokens", "questions"))
        return sum(parts, np.zeros(n_types, dtype=np.int64))

    def question(self, index: int) -> SquadQuestion:
        """One question with its context."""
        context, first, last = self._arrays["examples"][index].tolist()
        answer = None if first == NO_ANSWER else (first, last)
        return SquadQuestion(self.context(context), self.question_tokens(index), answer, self.ids[index])

    def context(self, index: int) -> Ids:
        """Type ids of a context's tokens. Shape: (tokens,)."""
        return self._slice("tokens", "contexts", index).astype(np.int64)

    def question_tokens(self, index: int) -> Ids:
        """Type ids of a question's tokens. Shape: (tokens,)."""
        return self._slice("questions", "ends", index).astype(np.int64)

    def offsets(self, index: int) -> Ids:
        """Begin and end of a context's tokens, in characters. Shape: (tokens, 2)."""
        return self._slice("offsets", "contexts", index).astype(np.int64)

    def context_text(self, index: int) -> str:
        """The text of a context."""
        return self._texts[index]

    def answers(self, id: str) -> List[str]:
        """The listed answers to a question, by its name in the data set."""
        return self.gold[id]

    @cached_property
    def _texts(self) -> List[str]:
        return _read_jsonl(self.directory / f"{self.name}.contexts.jsonl", n_lines=self.n_contexts)

    @cached_property
    def _records(self) -> List[Dict[str, Any]]:
        return _read_jsonl(self.directory / f"{self.name}.records.jsonl", n_lines=self.n_questions)

    def _slice(self, name: str, bounds: str, index: int) -> npt.NDArray[Any]:
        starts = self._arrays[bounds]
        return self._arrays[name][starts[index] : starts[index + 1]]

    def _check(self, n_types: int) -> None:
        """Whether the arrays fit each other. All ids are read once here."""
        arrays, path = self._arrays, self.directory / self.name
        n_tokens, n_words = len(arrays["tokens"]), len(arrays["questions"])
        if arrays["offsets"].shape != (n_tokens, 2) or arrays["examples"].shape != (len(arrays["ends"]) - 1, 3):
            raise ValueError(Errors.G902.format(path=path, reason="the sizes of its arrays differ"))
        for bounds, n_ids in (("contexts", n_tokens), ("ends", n_words)):
            starts = arrays[bounds]
            if not len(starts) or starts[0] != 0 or starts[-1] != n_ids or (np.diff(starts) <= 0).any():
                raise ValueError(Errors.G902.format(path=path, reason=f"{bounds} do not fit the tokens"))
        highest = max(int(arrays[name].max(initial=0)) for name in ("tokens", "questions"))
        if highest >= n_types:
            reason = f"id {highest} is beyond the {n_types} lines of {TYPES_NAME}"
            raise ValueError(Errors.G902.format(path=path, reason=reason))
        context, first, last = np.asarray(arrays["examples"]).T
        if len(context) and not (context.min() >= 0 and context.max() < self.n_contexts):
            raise ValueError(Errors.G902.format(path=path, reason="a question is on a context that there is not"))
        fits = (first >= NO_ANSWER) & (first <= last) & (last < self.context_lengths[context])
        if not fits.all():
            raise ValueError(Errors.G902.format(path=path, reason="an answer is not within its context"))


class SquadCorpus:
    """A prepared corpus of questions.

    directory (PathLike): As `prepare --format squad` wrote it.
    RAISES: G902-G904 if it is no corpus directory, of another version or damaged; G920 if it is of another format.
    """

    def __init__(self, directory: PathLike) -> None:
        self.directory = Path(directory)
        self.record = read_record(self.directory)
        if (found := self.record.get("format", "documents")) != FORMAT:
            raise ValueError(Errors.G920.format(path=self.directory, found=found, expected=FORMAT))
        self.types = read_words(self.directory / TYPES_NAME)
        self.words: List[str] = []
        self.vectors: Optional[npt.NDArray[np.floating[Any]]] = None
        if self.record["vectors"] is not None:
            self.words = read_words(self.directory / WORDS_NAME)
            self.vectors = _load(self.directory / VECTORS_NAME, None, 2)
            if len(self.words) != len(self.vectors):
                reason = f"{len(self.words)} words for {len(self.vectors)} vectors"
                raise ValueError(Errors.G902.format(path=self.directory, reason=reason))

    @property
    def lang(self) -> str:
        """Language of the tokeniser."""
        return str(self.record["settings"]["lang"])

    @property
    def fingerprint(self) -> str:
        """A name for exactly this corpus, the same on every machine: training state tells by it that it fits."""
        return sha256(json.dumps(self.record["sha256"], sort_keys=True).encode()).hexdigest()[:16]

    def split(self, name: str) -> SquadSplit:
        """Open a part of the corpus.

        name (str): "train" or "dev".
        RAISES: ValueError G905 if there is no such part; G902 if it is damaged.
        """
        if name not in self.record["splits"]:
            known = ", ".join(self.record["splits"])
            raise ValueError(Errors.G905.format(path=self.directory, split=name, known=known))
        return SquadSplit(self.directory, name, n_types=len(self.types))


def _load(path: Path, kind: Any, rank: int) -> npt.NDArray[Any]:
    """Map an array of a type and rank; `None` as the type allows any floats."""
    if not path.is_file():
        raise FileNotFoundError(Errors.G902.format(path=path.parent, reason=f"{path.name} is missing"))
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(Errors.G902.format(path=path, reason=f"no whole array ({error})")) from error
    if array.ndim != rank or (array.dtype.kind != "f" if kind is None else array.dtype != kind):
        raise ValueError(Errors.G902.format(path=path, reason=f"{array.dtype} of rank {array.ndim}"))
    return array


def _read_jsonl(path: Path, *, n_lines: int) -> List[Any]:
    """One JSON value per line."""
    if not path.is_file():
        raise FileNotFoundError(Errors.G902.format(path=path.parent, reason=f"{path.name} is missing"))
    try:
        with path.open(encoding="utf8", newline="\n") as file:
            values = [json.loads(line) for line in file]
    except ValueError as error:
        raise ValueError(Errors.G902.format(path=path, reason=f"no JSON ({error})")) from error
    if len(values) != n_lines:
        raise ValueError(Errors.G902.format(path=path, reason=f"{len(values)} lines, not {n_lines}"))
    return values
