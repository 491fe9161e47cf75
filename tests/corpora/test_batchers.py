"""Batches in which questions about one context stand together."""

import random
from typing import List

import pytest
import spacy
from spacy import registry
from spacy.training import Example
from squad_files import TINY

from glomo_spacy.corpora.batchers import create_context_batcher_v1
from glomo_spacy.corpora.squad import ID_KEY, create_squad_reader_v1


@pytest.fixture(scope="module")
def shuffled() -> List[Example]:
    examples = list(create_squad_reader_v1(str(TINY))(spacy.blank("en")))
    random.Random(0).shuffle(examples)
    return examples


def ids(examples: List[Example]) -> List[str]:
    return [example.reference.user_data[ID_KEY] for example in examples]


def test_batcher_is_found_by_its_name() -> None:
    assert registry.get("batchers", "glomo_spacy.batch_by_context.v1") is create_context_batcher_v1


@pytest.mark.parametrize("size, together", [(4, 2), (5, 2), (32, 4), (2, 3), (1, 1)])
def test_every_question_comes_once_and_no_batch_is_too_large(size: int, together: int, shuffled: List[Example]) -> None:
    batches = list(create_context_batcher_v1(size, questions_per_context=together)(shuffled))
    assert sorted(ids([example for batch in batches for example in batch])) == sorted(ids(shuffled))
    assert max(map(len, batches)) <= size


def test_questions_about_one_context_stand_together_where_the_first_of_them_stood(shuffled: List[Example]) -> None:
    (batch,) = create_context_batcher_v1(100, questions_per_context=100)(shuffled)
    contexts = [example.reference.text for example in batch]
    assert contexts == sorted(contexts, key=[example.reference.text for example in shuffled].index)


def test_no_more_than_asked_for_stand_together(shuffled: List[Example]) -> None:
    batches = list(create_context_batcher_v1(2, questions_per_context=2)(iter(shuffled)))
    pairs = [{example.reference.text for example in batch} for batch in batches]
    contexts = {example.reference.text for example in shuffled}
    n_questions = [sum(example.reference.text == context for example in shuffled) for context in contexts]
    assert sum(len(pair) == 1 for pair in pairs) >= sum(number // 2 for number in n_questions)
    assert max(map(len, batches)) == 2


def test_one_by_one_the_order_stays(shuffled: List[Example]) -> None:
    batches = create_context_batcher_v1(6, questions_per_context=1)(shuffled)
    assert ids([example for batch in batches for example in batch]) == ids(shuffled)


@pytest.mark.parametrize("name", ["size", "questions_per_context"])
def test_numbers_out_of_range_are_named(name: str) -> None:
    with pytest.raises(ValueError, match=rf"\[G101\] {name} must be a whole number above 0"):
        create_context_batcher_v1(**{"size": 4, "questions_per_context": 2, name: 0})
