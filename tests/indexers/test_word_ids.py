"""Words to ids over a closed vocabulary."""

import numpy as np
import pytest

from glomo_spacy.indexers import WordIndexer, build_vocabulary, count_words

WORDS = ["the", "N", "Paris", "NATO", "<unk>"]


@pytest.mark.parametrize(
    "casing, expected",
    [
        ("exact", [4, 4, 2, 4, 4, 1]),
        ("lower", [0, 0, 4, 4, 4, 1]),
        ("fallback", [0, 0, 2, 2, 3, 1]),
    ],
)
def test_casing_decides_which_forms_are_looked_up(casing, expected):
    found = WordIndexer(WORDS, casing=casing).ids(["THE", "The", "Paris", "paris", "nato", "B2B"])
    assert found.tolist() == expected
    assert found.dtype == np.int64


def test_without_digit_rule_a_number_is_a_word():
    assert WordIndexer(["1984", "<unk>"], digits=False).ids(["1984", "1985"]).tolist() == [0, 1]


def test_no_tokens_give_no_ids():
    assert WordIndexer(WORDS).ids([]).shape == (0,)


def test_unknown_word_is_the_last_id():
    indexer = WordIndexer(WORDS)
    assert indexer.unknown_id == len(indexer) - 1 == 4
    assert indexer.ids(["<unk>", "xyz"]).tolist() == [4, 4]


def test_config_builds_an_equal_indexer():
    indexer = WordIndexer(WORDS, digits=False, casing="exact", lang="de")
    again = WordIndexer.from_config(indexer.config, WORDS)
    assert again.config == {"kind": "words", "digits": False, "casing": "exact", "lang": "de"}
    assert again.words == indexer.words


@pytest.mark.parametrize(
    "words, found",
    [([], "no words"), (["the"], "the last word 'the'"), (["a", "b", "a", "<unk>"], "'a' more than once")],
)
def test_vocabulary_must_be_whole(words, found):
    with pytest.raises(ValueError, match=rf"\[G001\].*but has {found}"):
        WordIndexer(words)


def test_unknown_casing_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"\[G002\].*'upper'.*exact, lower, fallback"):
        WordIndexer(WORDS, casing="upper")


@pytest.mark.parametrize(
    "section, found", [({"kind": "characters"}, "kind 'characters'"), ({"width": 3}, "the unknown name 'width'")]
)
def test_section_of_another_indexer_is_refused(section, found):
    with pytest.raises(ValueError, match=rf"\[G003\].*{found}"):
        WordIndexer.from_config(section, WORDS)


def test_words_are_counted_in_the_form_of_the_vocabulary():
    tokens = ["The", "the", "3rd", "2014", "Paris"]
    assert count_words(tokens) == {"the": 2, "N": 2, "paris": 1}
    assert count_words(tokens, digits=False, casing="fallback") == dict.fromkeys(tokens, 1)
    assert count_words({"The": 5, "the": 2}) == {"the": 7}


def test_vocabulary_is_ranked_by_count_then_code_point_and_ends_with_the_unknown_word():
    counts = {"b": 2, "a": 2, "c": 5, "d": 1, "<unk>": 3}
    assert build_vocabulary(counts) == (["c", "a", "b", "d", "<unk>"], [5, 2, 2, 1, 3])
    assert build_vocabulary(counts, max_words=2) == (["c", "a", "<unk>"], [5, 2, 6])
    assert build_vocabulary(counts, min_count=2) == (["c", "a", "b", "<unk>"], [5, 2, 2, 4])


def test_empty_text_gives_a_vocabulary_of_the_unknown_word_alone():
    assert build_vocabulary({}) == (["<unk>"], [0])
