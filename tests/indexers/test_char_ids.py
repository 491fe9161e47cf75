"""Words spelled as character ids: bytes as published, or a learned alphabet."""

import numpy as np
import pytest

from glomo_spacy.indexers import CharIndexer, build_indexer


def unpadded(indexer: CharIndexer, word: str) -> list:
    row = indexer.ids([word])[0]
    assert row.shape == (indexer.max_characters,)
    real = row != indexer.padding
    assert not real[real.argmin() :].any() or real.all()  # padding stands behind
    return row[real].tolist()


@pytest.mark.parametrize(
    "word, expected",
    [
        ("café", [259, 100, 98, 103, 196, 170, 260]),  # as in the published description
        ("a", [259, 98, 260]),
        ("", [259, 260]),
        ("<S>", [259, 257, 260]),
        ("</S>", [259, 258, 260]),
        ("<s>", [259, 61, 116, 63, 260]),
        ("<UNK>", [259, 61, 86, 79, 76, 63, 260]),
        ("\x00", [259, 1, 260]),
        ("a\ud800", [259, 98, 260]),
        ("b" * 48, [259, *[99] * 48, 260]),
        ("b" * 49, [259, *[99] * 48, 260]),
        ("b" * 47 + "é", [259, *[99] * 47, 196, 260]),  # a letter may be cut in half
    ],
)
def test_bytes_stand_between_the_marks_of_a_word(word, expected):
    assert unpadded(CharIndexer(), word) == expected


def test_bytes_are_numbered_as_published_for_prediction():
    indexer = CharIndexer()
    assert indexer.n_characters == 262
    ids = indexer.ids([chr(code) for code in range(128)])
    assert ids.dtype == np.uint16
    assert ids[:, 1].tolist() == list(range(1, 129))
    assert (indexer.begin_word, indexer.end_word, indexer.padding) == (259, 260, 261)


def test_an_alphabet_numbers_letters_and_gives_all_others_one_id():
    indexer = CharIndexer(alphabet="ab日")
    assert indexer.n_characters == 1 + 3 + 1 + 5
    assert unpadded(indexer, "b日xay") == [7, 2, 3, 4, 1, 4, 8]
    assert unpadded(indexer, "日" * 60) == [7, *[3] * 48, 8]  # letters, not bytes, are counted
    assert unpadded(indexer, "<S>") == [7, 5, 8]
    assert unpadded(indexer, "</S>") == [7, 6, 8]


def test_rows_may_be_shorter_and_many_words_are_spelled_at_once():
    indexer = CharIndexer(max_characters=5)
    assert indexer.ids([]).shape == (0, 5)
    assert indexer.ids(["", "abcdef", "a"]).tolist() == [
        [259, 260, 261, 261, 261],
        [259, 98, 99, 100, 260],
        [259, 98, 260, 261, 261],
    ]


@pytest.mark.parametrize("indexer", [CharIndexer(), CharIndexer(alphabet='a"$日\\', max_characters=20, lang="ja")])
def test_the_config_section_builds_the_same_indexer(indexer):
    again = build_indexer(indexer.config, [])
    assert isinstance(again, CharIndexer)
    assert again.config == indexer.config
    assert again.ids(["日本$", "<S>"]).tolist() == indexer.ids(["日本$", "<S>"]).tolist()


@pytest.mark.parametrize(
    "alphabet, message",
    [
        ([], "G014.*has no characters"),
        (["a", "bc"], "G014.*has 'bc'"),
        (["a", 1], "G014.*has 1"),
        ("aba", "G014.*3 entries with 2 different ones"),
        ([chr(code) for code in range(100, 70_000)], "G014.*at most 65,529.*69900 entries"),
    ],
)
def test_what_is_no_alphabet_is_refused(alphabet, message):
    with pytest.raises(ValueError, match=message):
        CharIndexer(alphabet=alphabet)


def test_errors_name_what_was_found():
    with pytest.raises(ValueError, match="G101.*max_characters must be at least 3.*is 2"):
        CharIndexer(max_characters=2)
    with pytest.raises(ValueError, match="G015.*kind 'words'.*'characters'"):
        CharIndexer.from_config({"kind": "words"})
    with pytest.raises(ValueError, match="G015.*the unknown name 'digits'.*alphabet, max_characters and lang"):
        CharIndexer.from_config({"digits": True})
    with pytest.raises(ValueError, match="G100.*'letters'.*words, vocabulary, characters"):
        build_indexer({"kind": "letters"}, [])
