"""Rows of a matrix and what they stand for, from one iteration."""

import numpy
import pytest

from glomo_spacy.visual import TokenRows, collect_rows
from glomo_spacy.visual.token_rows import agreement, nearest_rows, unit_rows


def test_row_and_label_are_of_one_token_in_every_sentence() -> None:
    sentences = [["a", "b"], [], ["c"], ["a", "d", "e"]]
    # Each vector says where it belongs: sentence, position, layer.
    arrays = [
        numpy.array([[[s, p, layer] for p in range(len(words))] for layer in range(2)]).reshape(2, len(words), 3)
        for s, words in enumerate(sentences)
    ]
    rows = collect_rows(sentences, arrays)
    assert [row.word for row in rows.rows] == ["a", "b", "c", "a", "d", "e"]
    assert rows.vectors.shape == (2, 6, 3)
    for index, row in enumerate(rows.rows):
        assert sentences[row.sentence][row.position] == row.word
        for layer in range(2):
            assert rows.vectors[layer, index].tolist() == [row.sentence, row.position, layer]


def test_arrays_of_one_layer_are_taken() -> None:
    assert collect_rows([["a", "b"]], [numpy.zeros((2, 3))]).vectors.shape == (1, 2, 3)


def test_a_word_is_found_in_any_casing(tokens: TokenRows) -> None:
    assert [tokens.rows[index].word for index in tokens.of_word("PLAY")] == ["play"] * 4
    assert tokens.of_word("pla") == []


def test_context_is_cut_on_both_sides(tokens: TokenRows) -> None:
    assert tokens.context(5, n_words=1) == ("new", "play", "about")
    assert tokens.context(0, n_words=9) == ("", "the", "play opened")


@pytest.mark.parametrize(
    "sentences, arrays, message",
    [
        ([["a"]], [], r"\[G055\] arrays must be one per sentence \(1\), but there are 0"),
        ([["a", "b"]], [numpy.zeros((3, 1, 4))], r"\[G055\] vectors of sentence 0 must be one per token \(2\)"),
        ([["a"]], [numpy.zeros(4)], r"\[G055\] vectors of sentence 0 .* arrays of shape"),
        ([[], []], [numpy.zeros((3, 0, 4))] * 2, r"\[G054\] There are no words to show"),
        ([], [], r"\[G054\]"),
    ],
)
def test_vectors_that_do_not_fit_their_words_are_refused(sentences: list, arrays: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect_rows(sentences, arrays)


def test_nearest_rows_are_those_of_the_highest_cosine() -> None:
    vectors = numpy.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    order, cosines = nearest_rows(vectors, n_nearest=3)
    for row in range(9):
        by_hand = [
            (-(vectors[row] @ other) / numpy.linalg.norm(vectors[row]) / numpy.linalg.norm(other), number)
            for number, other in enumerate(vectors)
            if number != row
        ]
        assert order[row].tolist() == [number for _, number in sorted(by_hand)[:3]]
        numpy.testing.assert_allclose(cosines[row], [-cosine for cosine, _ in sorted(by_hand)[:3]], atol=1e-6)


def test_few_rows_have_few_neighbours() -> None:
    assert nearest_rows(numpy.ones((1, 2), dtype="float32"), n_nearest=6)[0].shape == (1, 0)
    assert nearest_rows(numpy.ones((3, 2), dtype="float32"), n_nearest=6)[0].tolist() == [[1, 2], [0, 2], [0, 1]]


def test_a_row_of_zeros_stays_zero() -> None:
    assert unit_rows(numpy.array([[0, 0], [3, 4]], dtype="float32")).tolist() == [
        [0, 0],
        [0.6000000238418579, 0.800000011920929],
    ]


def test_agreement_counts_rows_whose_nearest_is_of_their_group() -> None:
    vectors = numpy.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.3]], dtype="float32")
    assert agreement(vectors, ["a", "a", "b", "b", "b"]) == (4, 5)


def test_equal_vectors_agree_with_nobody() -> None:
    assert agreement(numpy.ones((4, 3), dtype="float32"), ["a", "a", "b", "b"]) == (0, 4)
    assert agreement(numpy.ones((1, 3), dtype="float32"), ["a"]) == (0, 1)
