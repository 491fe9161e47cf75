"""Exact match and F1 are those of the official script, over all questions."""

from types import SimpleNamespace
from typing import Any, List, Optional

import pytest
from spacy import registry

from glomo_spacy.evaluation.squad_scorer import (
    ANSWERS_KEY,
    create_squad_scorer_v1,
    exact_match,
    f1,
    normalize_answer,
    score,
)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The  Denver\tBroncos!", "denver broncos"),
        ("A.B.C.-an-the", "abcanthe"),  # punctuation goes first, so that these are no articles
        ("an apple a day, the end", "apple day end"),
        ("theatre", "theatre"),
        ("24–10", "24–10"),  # a dash beyond ASCII stays
        ("An", ""),
        ("ÉCLAIR", "éclair"),
    ],
)
def test_answers_are_compared_without_casing_punctuation_and_articles(text: str, expected: str) -> None:
    assert normalize_answer(text) == expected


@pytest.mark.parametrize(
    "prediction, answer, expected_match, expected_f1",
    [
        ("the Denver Broncos!", "Denver Broncos", 1, 1),
        ("the NFL's Denver Broncos team", "Denver Broncos", 0, 2 / 3),
        ("a", "an", 1, 0),  # both are empty: the official script has no common word there
        ("blue blue sea", "blue sea sea", 0, 2 / 3),  # words count as often as they stand
        ("red", "blue", 0, 0),
    ],
)
def test_a_pair_of_answers_scores_as_officially(
    prediction: str, answer: str, expected_match: float, expected_f1: float
) -> None:
    assert exact_match(prediction, answer) == expected_match
    assert f1(prediction, answer) == pytest.approx(expected_f1)


def test_the_best_listed_answer_counts_for_each_measure_apart() -> None:
    measures = score({"q": ["a tall mast", "mast of oak wood"]}, {"q": "mast of oak"})
    assert measures == {"exact_match": 0.0, "f1": pytest.approx(100 * 6 / 7), "total": 1}


def test_a_missing_prediction_scores_zero_and_counts() -> None:
    measures = score({"known": ["mast"], "missing": ["the"]}, {"known": "mast", "of another file": "mast"})
    assert measures == {"exact_match": 50.0, "f1": 50.0, "total": 2}


def test_no_questions_score_zero() -> None:
    assert score({}, {"q": "mast"}) == {"exact_match": 0.0, "f1": 0.0, "total": 0}


def make_example(answers: Optional[List[str]], *predicted: str, key: str = "answers") -> Any:
    spans = {key: [SimpleNamespace(text=text) for text in predicted]} if predicted else {}
    user_data = {} if answers is None else {ANSWERS_KEY: answers}
    return SimpleNamespace(reference=SimpleNamespace(user_data=user_data), predicted=SimpleNamespace(spans=spans))


def test_the_scorer_of_pipelines_is_found_by_its_name_and_takes_the_first_span() -> None:
    scorer = registry.get("scorers", "glomo_spacy.squad_scorer.v1")()
    examples = [make_example(["The mast"], "mast", "sea"), make_example(["red sail"], "sail"), make_example(["the"])]
    scores = scorer(examples, nlp=None)
    assert scores == {"answer_exact_match": pytest.approx(1 / 3), "answer_f1": pytest.approx((1 + 2 / 3) / 3)}


def test_the_scorer_reads_another_group_of_spans() -> None:
    scorer = create_squad_scorer_v1(spans_key="found")
    assert scorer([make_example(["mast"], "mast", key="found")])["answer_f1"] == 1.0


def test_examples_that_list_no_answers_are_not_scored() -> None:
    assert create_squad_scorer_v1()([make_example(None, "mast")]) == {}
