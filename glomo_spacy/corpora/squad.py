"""Questions about texts as examples for `spacy train`, read from files in the format of SQuAD as they are.

An example is one context with one question. The Doc carries the question; its reference also has the answers as spans
of whole tokens and, for scoring, as they were written.
"""

import math
from functools import partial
from itertools import compress, islice
from typing import Any, Callable, Iterable, Iterator, List

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry

from ..errors import Errors
from .squad_alignment import align_answer
from .squad_file import Question, read_squad

SPANS_KEY = "answers"
ANSWERS_KEY = "squad_answers"  # in user_data: the listed answers as text
ID_KEY = "squad_id"  # in user_data: the data set's name for the question
QUESTION_KEY: Any = ("._.", "question", None, None)  # where `doc._.question` is kept


@registry.readers("glomo_spacy.squad.v1")
def create_squad_reader_v1(
    path: str, *, limit: int = 0, fraction: float = 1.0, seed: int = 13, answerable_only: bool = False
) -> Callable[[Language], Iterable[Example]]:
    """Read questions, contexts and answers as examples for `extractive_qa`.

    Each context is tokenised once by the pipeline. `doc._.question` is set on both Docs of an example;
    `reference.spans["answers"]` has every listed answer, widened to whole tokens, in the order of the list;
    `reference.user_data` has the answers as written under "squad_answers" and the question's id under "squad_id".

    path (str): `.json`, possibly packed (.gz .xz .bz2).
    limit (int): Questions read at most, from the beginning; 0 for all.
    fraction (float): Share of the questions that is drawn at random, > 0 and at most 1.
    seed (int): Decides which are drawn. The published seed.
    answerable_only (bool): Leave out questions without an answer, of which SQuAD 2.0 has many.
    RETURNS (Callable[[Language], Iterable[Example]]): Gives all examples anew at each call, in the order of the file.
    RAISES: ValueError G077 for a limit or fraction out of range; at the first call as `read_squad`.
    """
    if limit < 0 or not 0 < fraction <= 1:
        raise ValueError(Errors.G077.format(limit=limit, fraction=fraction))
    return partial(
        _read_examples, path=path, limit=limit, fraction=fraction, seed=seed, answerable_only=answerable_only
    )


def _read_examples(
    nlp: Language, *, path: str, limit: int, fraction: float, seed: int, answerable_only: bool
) -> Iterator[Example]:
    data = read_squad(path, answerable_only=answerable_only)
    chosen = _choose(data.n_questions, limit=limit, fraction=fraction, seed=seed)
    is_chosen = iter(chosen)
    for paragraph in data.paragraphs:
        questions = list(compress(paragraph.questions, islice(is_chosen, len(paragraph.questions))))
        if questions:
            doc = nlp.make_doc(paragraph.context)
            yield from (_make_example(doc, question) for question in questions)


def _choose(n_questions: int, *, limit: int, fraction: float, seed: int) -> List[bool]:
    """Which questions are read."""
    n_first = min(limit, n_questions) if limit else n_questions
    n_drawn = math.ceil(n_first * fraction)
    drawn = np.random.default_rng(seed).permutation(n_first)[:n_drawn]
    chosen = np.zeros(n_questions, dtype=bool)
    chosen[drawn] = True
    return list(map(bool, chosen))


def _make_example(doc: Doc, question: Question) -> Example:
    predicted, reference = doc.copy(), doc.copy()
    for part in (predicted, reference):
        part.user_data[QUESTION_KEY] = question.text
    reference.user_data[ANSWERS_KEY] = [answer.text for answer in question.answers]
    reference.user_data[ID_KEY] = question.id
    reference.spans[SPANS_KEY] = _answer_spans(reference, question)
    return Example(predicted, reference)


def _answer_spans(doc: Doc, question: Question) -> List[Span]:
    """The answers as spans. White-space tokens neither begin nor end one."""
    columns = doc.to_array(["IDX", "LENGTH", "IS_SPACE"]).astype(np.int64)
    places = np.flatnonzero(columns[:, 2] == 0)  # (words,)
    begins, lengths = columns[places, 0], columns[places, 1]
    offsets = np.stack([begins, begins + lengths], axis=1)  # (words, 2)
    spans = (align_answer(offsets, start, start + len(text)) for start, text in question.answers)
    return [doc[int(places[first]) : int(places[last]) + 1] for first, last in filter(None, spans)]
