"""Exact match and F1 of answers, as the official script of SQuAD 1.1 defines them.

Source: Rajpurkar et al. 2016, section 6.1, and the official script `evaluate-v1.1.py`: answers are compared in lower
case, without ASCII punctuation, without the words a, an and the, and with single blanks; each prediction is compared
with every listed answer and the best counts; a question without a prediction scores 0 and counts. Nothing here imports
spaCy: the scorer for pipelines is found through its entry point.
"""

import re
import string
from collections import Counter
from functools import partial
from typing import Any, Callable, Dict, Iterable, Mapping, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

ANSWERS_KEY = "squad_answers"  # where `glomo_spacy.squad.v1` leaves the listed answers in a Doc's user_data


def normalize_answer(text: str) -> str:
    """Lower case, no ASCII punctuation, no articles, single blanks.

    text (str): An answer. "The end." and "end" become equal; "an" becomes empty.
    RETURNS (str): What is compared.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, answer: str) -> float:
    """1.0 if two answers are equal once normalised, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(answer))


def f1(prediction: str, answer: str) -> float:
    """The harmonic mean of precision and recall over the bags of words of two normalised answers.

    prediction (str): What was predicted.
    answer (str): What was expected.
    RETURNS (float): From 0.0, no common word, to 1.0. Of two empty answers 0.0, as in the official script.
    """
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(answer).split()
    n_common = (Counter(predicted) & Counter(expected)).total()
    if not n_common:
        return 0.0
    precision, recall = n_common / len(predicted), n_common / len(expected)
    return 2 * precision * recall / (precision + recall)


def score(gold: Mapping[str, Sequence[str]], predictions: Mapping[str, str]) -> Dict[str, Any]:
    """Score the answers to all questions.

    gold (Mapping[str, Sequence[str]]): The listed answers by question id, at least one of each.
    predictions (Mapping[str, str]): One answer by question id. Questions that are missing score 0; ids that are no
        question are passed over.
    RETURNS (Dict[str, Any]): "exact_match" and "f1" in percent, means over all questions, and "total", their number.
        Without questions both are 0.
    """
    matches = overlaps = 0.0
    for question, answers in gold.items():
        if question in predictions:
            matches += max(exact_match(predictions[question], answer) for answer in answers)
            overlaps += max(f1(predictions[question], answer) for answer in answers)
    total = len(gold)
    share = 100.0 / max(total, 1)
    return {"exact_match": matches * share, "f1": overlaps * share, "total": total}


def create_squad_scorer_v1(*, spans_key: str = "answers") -> Callable[..., Dict[str, float]]:
    """A scorer for pipelines that answer questions, registered as `glomo_spacy.squad_scorer.v1`.

    spans_key (str): Group of spans whose first one is the predicted answer.
    RETURNS (Callable): Takes examples as `glomo_spacy.squad.v1` makes them and returns `answer_exact_match` and
        `answer_f1` from 0 to 1, as spaCy expects of scores; nothing where no example lists answers.
    """

    return partial(_score_examples, spans_key=spans_key)


def _score_examples(examples: Iterable[Any], *, spans_key: str, **settings: Any) -> Dict[str, float]:
    gold, predictions = {}, {}
    for place, example in enumerate(examples):
        answers = example.reference.user_data.get(ANSWERS_KEY)
        if answers:
            gold[str(place)] = answers
            if spans := example.predicted.spans.get(spans_key):
                predictions[str(place)] = spans[0].text
    if not gold:
        return {}
    measures = score(gold, predictions)
    return {f"answer_{name}": measures[name] / 100 for name in ("exact_match", "f1")}
