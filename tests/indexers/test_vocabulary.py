"""Vocabularies that begin with the specials of bilm-tf."""

import pytest

from glomo_spacy.indexers import SPECIALS, VocabularyIndexer, build_indexer

WORDS = [*SPECIALS, "the", "The", "1984"]


def test_words_are_looked_up_as_they_stand():
    indexer = VocabularyIndexer(WORDS)
    assert indexer.ids(["The", "the", "THE", "1984", "1985", "<S>", "</S>", "<UNK>"]).tolist() == [
        4,
        3,
        2,
        5,
        2,
        0,
        1,
        2,
    ]
    assert indexer.ids([]).shape == (0,)
    assert (indexer.begin_sentence, indexer.end_sentence, indexer.unknown_id) == (0, 1, 2)


def test_a_line_that_is_no_word_is_skipped():
    indexer = VocabularyIndexer([*WORDS[:4], "!!!MAXTERMID", *WORDS[4:]])
    assert list(indexer.words) == WORDS
    assert len(indexer) == len(WORDS)


def test_the_config_section_builds_the_same_indexer():
    indexer = VocabularyIndexer(WORDS, lang="de")
    again = build_indexer(indexer.config, WORDS)
    assert isinstance(again, VocabularyIndexer)
    assert (again.config, again.words) == (indexer.config, indexer.words)


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "has no words"),
        (["the", "cat", "sat"], "has no <S>"),
        (["<S>", "</S>", "the"], "has no <UNK>"),
        (["</S>", "<S>", "<UNK>"], "has '</S>' in line 1"),
        (["<S>", "</S>", "the", "<UNK>"], "has 'the' in line 3"),
        ([*WORDS, "the"], "has 'the' more than once, again in line 7"),
        ([*WORDS, "<S>"], "has '<S>' more than once, again in line 7"),
    ],
)
def test_what_is_no_such_vocabulary_is_refused(words, message):
    with pytest.raises(ValueError, match=f"G016.*{message}"):
        VocabularyIndexer(words)


def test_a_section_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="G015.*kind 'characters'.*'vocabulary'"):
        VocabularyIndexer.from_config({"kind": "characters"}, WORDS)
    with pytest.raises(ValueError, match="G015.*unknown name 'casing'.*lang"):
        VocabularyIndexer.from_config({"kind": "vocabulary", "casing": "lower"}, WORDS)
