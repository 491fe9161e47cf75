"""Raw static vectors with casing fallback."""

from typing import Dict

import numpy as np
import pytest
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from glomo_spacy.architectures.word_vectors import build_word_vectors_v1

TABLE = {"dog": 1.0, "Paris": 2.0, "NATO": 3.0, "Dog": 4.0}


def make_vocab(table: Dict[str, float] = TABLE, width: int = 3) -> Vocab:
    vocab = Vocab()
    for word, value in table.items():
        vocab.set_vector(word, np.full(width, value, dtype="f"))
    return vocab


@pytest.mark.parametrize(
    "word, value",
    [
        ("dog", 1),
        ("Dog", 4),
        ("DOG", 1),
        ("paris", 2),
        ("PARIS", 2),
        ("nato", 3),
        ("Nato", 3),
        ("unknown", 0),
        ("\n", 0),
    ],
)
def test_falls_back_to_lower_then_capitalised_then_upper(word: str, value: float) -> None:
    doc = Doc(make_vocab(), words=[word])
    np.testing.assert_array_equal(build_word_vectors_v1().predict([doc])[0], [[value] * 3])


@pytest.mark.parametrize("word, value", [("dog", 1), ("Dog", 4), ("DOG", 0), ("paris", 0)])
def test_exact_casing_borrows_nothing(word: str, value: float) -> None:
    doc = Doc(make_vocab(), words=[word])
    np.testing.assert_array_equal(build_word_vectors_v1(casing="exact").predict([doc])[0], [[value] * 3])


def test_gives_the_vectors_unchanged_one_row_per_token() -> None:
    vocab = make_vocab()
    docs = [Doc(vocab, words=["dog", "Paris", "dog"]), Doc(vocab), Doc(vocab, words=["x"])]
    rows = build_word_vectors_v1().predict(docs)
    assert [row.shape for row in rows] == [(3, 3), (0, 3), (1, 3)]
    np.testing.assert_array_equal(rows[0], [vocab["dog"].vector, vocab["Paris"].vector, vocab["dog"].vector])
    rows[0][:] = 9.0
    assert vocab["dog"].vector[0] == 1.0


def test_keys_of_a_table_by_lower_case_are_used() -> None:
    vocab = Vocab(lex_attr_getters={66: str.lower})  # 66 is LOWER
    vocab.vectors = Vectors(strings=vocab.strings, data=np.ones((1, 3), "f"), keys=["dog"], attr="LOWER")
    assert build_word_vectors_v1(casing="exact").predict([Doc(vocab, words=["DoG"])])[0].tolist() == [[1, 1, 1]]


def test_floret_vectors_know_every_word() -> None:
    vocab = Vocab()
    settings = {"mode": "floret", "hash_count": 1, "minn": 2, "maxn": 3, "bow": "<", "eow": ">"}
    vocab.vectors = Vectors(strings=vocab.strings, data=np.ones((5, 3), "f"), **settings)
    rows = build_word_vectors_v1().predict([Doc(vocab, words=["anything"])])[0]
    np.testing.assert_allclose(rows, [[1, 1, 1]], atol=1e-6)


def test_width_is_that_of_the_vectors_from_initialisation_on() -> None:
    model = build_word_vectors_v1()
    assert model.has_dim("nO") is None
    model.initialize(X=[Doc(make_vocab(), words=["dog"])])
    assert model.get_dim("nO") == 3
    with pytest.raises(ValueError, match="G131.*5 wide.*initialised with 3"):
        model.predict([Doc(make_vocab(width=5), words=["dog"])])


def test_a_vocabulary_without_vectors_is_refused() -> None:
    doc = Doc(Vocab(), words=["dog"])
    with pytest.raises(ValueError, match="G130.*spacy init vectors"):
        build_word_vectors_v1().predict([doc])
    with pytest.raises(ValueError, match="G130"):
        build_word_vectors_v1().initialize(X=[doc])


def test_an_unknown_casing_is_refused() -> None:
    with pytest.raises(ValueError, match="G100.*casing = 'loose'.*exact, fallback"):
        build_word_vectors_v1(casing="loose")
