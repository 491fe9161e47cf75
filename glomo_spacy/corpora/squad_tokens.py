"""Contexts and questions as tokens, each text tokenised once; white-space tokens are dropped."""

from array import array
from collections import Counter
from typing import Any, Callable, Dict, List, NamedTuple, Union

import numpy as np
import numpy.typing as npt

from .squad_alignment import AlignmentReport, align_answer, normalize_quotes
from .squad_corpus import ARRAYS, NO_ANSWER
from .squad_file import Paragraph, SquadData
from .tokenizing import blank_pipeline

_ATTRIBUTES: List[Union[int, str]] = ["ORTH", "IDX", "LENGTH", "IS_SPACE"]


class Tokens(NamedTuple):
    """The tokens of a text.

    orths (ndarray): spaCy's hashes of their spellings. Shape: (tokens,), uint64.
    offsets (ndarray): Begin and end of each, in characters. Shape: (tokens, 2), int64.
    """

    orths: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]


class SquadTokenizer:
    """Tokenise texts and number the spellings that appear.

    lang (str): Language of the tokeniser, as for `spacy.blank`.
    RAISES: G008 (ValueError) if there is no such language.
    """

    def __init__(self, lang: str) -> None:
        self.nlp = blank_pipeline(lang)
        self.counts: Counter[int] = Counter()  # by hash of the spelling, in the order in which they appear

    @property
    def types(self) -> List[str]:
        """The distinct tokens by falling count; of equal counts the earlier one stands first."""
        return [self.nlp.vocab.strings[orth] for orth, _ in self.counts.most_common()]

    @property
    def ids(self) -> Dict[int, int]:
        """The place of each spelling in `types`, by its hash."""
        return {orth: place for place, (orth, _) in enumerate(self.counts.most_common())}

    def __call__(self, text: str) -> Tokens:
        """Tokenise and count a text. Its quotes are normalised, which moves no character."""
        rows = self.nlp.tokenizer(normalize_quotes(text)).to_array(_ATTRIBUTES)
        rows = rows[rows[:, 3] == 0]
        starts = rows[:, 1].astype(np.int64)
        self.counts.update(rows[:, 0].tolist())
        return Tokens(rows[:, 0], np.stack([starts, starts + rows[:, 2].astype(np.int64)], axis=1))


class TokenizedSplit:
    """One file of questions in tokens.

    data (SquadData): What was read.
    tokenizer (SquadTokenizer): Counts the tokens.
    progress (Callable[[int], Any]): Called with the number of questions of each tokenised context.
    """

    def __init__(
        self, data: SquadData, tokenizer: SquadTokenizer, *, progress: Callable[[int], Any] = lambda n_questions: None
    ) -> None:
        self.data = data
        self.report = AlignmentReport()
        self._parts: Dict[str, List[Any]] = {name: [] for name in ("tokens", "offsets", "questions", "examples")}
        self._contexts, self._ends = array("q", [0]), array("q", [0])
        for paragraph in data.paragraphs:
            self._append(paragraph, tokenizer)
            progress(len(paragraph.questions))

    def _append(self, paragraph: Paragraph, tokenizer: SquadTokenizer) -> None:
        index = len(self._contexts) - 1
        context = tokenizer(paragraph.context)
        self._parts["tokens"].append(context.orths)
        self._parts["offsets"].append(context.offsets.astype(np.int32))
        self._contexts.append(self._contexts[-1] + len(context.orths))
        for question in paragraph.questions:
            words = tokenizer(question.text).orths
            self._parts["questions"].append(words)
            self._ends.append(self._ends[-1] + len(words))
            ends = [(answer.start, answer.start + len(answer.text)) for answer in question.answers]
            spans = [align_answer(context.offsets, *pair, report=self.report) for pair in ends]
            self._parts["examples"].append((index, *(spans[-1] or (NO_ANSWER, NO_ANSWER))))

    def arrays(self, ids: Dict[int, int]) -> Dict[str, npt.NDArray[Any]]:
        """The arrays of the corpus directory, by name.

        ids (Dict[int, int]): The final id of each spelling, by its hash.
        """
        parts = self._parts
        found = {
            "tokens": _renumber(np.concatenate(parts["tokens"]), ids),
            "offsets": np.concatenate(parts["offsets"]),
            "contexts": np.asarray(self._contexts),
            "questions": _renumber(np.concatenate(parts["questions"]), ids),
            "ends": np.asarray(self._ends),
            "examples": np.asarray(parts["examples"]),
        }
        return {name: found[name].astype(kind) for name, (kind, _) in ARRAYS.items()}

    def describe(self) -> Dict[str, Any]:
        """Sizes and alignment, for the record."""
        lengths = np.diff(self._contexts)
        return {
            "contexts": len(lengths),
            "questions": len(self._ends) - 1,
            "tokens": self._contexts[-1] + self._ends[-1],
            "longest_context": int(lengths.max()),
            "longest_question": int(np.diff(self._ends).max()),
            "answers": {**self.report.to_dict(), "moved": self.data.n_moved},
            "unanswerable_left_out": self.data.n_unanswerable,
        }


def _renumber(orths: npt.NDArray[np.uint64], ids: Dict[int, int]) -> npt.NDArray[np.uint32]:
    distinct, inverse = np.unique(orths, return_inverse=True)
    return np.array([ids[orth] for orth in distinct.tolist()], dtype=np.uint32)[inverse]
