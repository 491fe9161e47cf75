"""The seam: every token is seen and counted once, padding is bounded, and gradients find their way back."""

import random
from typing import List

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc

from glomo_spacy.architectures.seam import (
    ALWAYS_TOGETHER,
    Window,
    doc_windows,
    expand_graphs,
    length_batches,
    pad_ids,
    pad_windows,
    window_ids,
)
from glomo_spacy.indexers import WordIndexer

VOCAB = spacy.blank("en").vocab


def make_doc(is_space: List[bool]) -> Doc:
    return Doc(VOCAB, words=["\n" if space else "word" for space in is_space])


def counted_rows(windows: List[Window]) -> List[int]:
    return [int(token) for window in windows for token in window.tokens[window.counting]]


# --- Windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_tokens", [0, 1, 2, 399, 400, 401, 402, 499, 500, 501, 599, 600, 601, 777, 1300])
@pytest.mark.parametrize("n_spaces", [0, 1, 20])
def test_every_token_counts_once_and_every_row_has_one_window(n_tokens: int, n_spaces: int) -> None:
    is_space = [False] * n_tokens
    for _ in range(n_spaces):
        is_space.insert(random.choice([0, n_tokens, random.randint(0, n_tokens)]), True)
    doc = make_doc(is_space)
    windows = doc_windows([doc])
    assert counted_rows(windows) == [token.i for token in doc if not token.is_space]
    bounds = [(window.row_start, window.row_end) for window in windows]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == len(doc)
    assert all(end == start for (_, end), (start, _) in zip(bounds, bounds[1:]))
    assert all(window.start <= window.row_start <= window.row_end <= window.end for window in windows)
    assert all(window.start <= window.tokens.min(initial=window.start) for window in windows)
    assert all(window.tokens.max(initial=0) < max(window.end, 1) for window in windows)


@pytest.mark.parametrize(
    "n_tokens, starts",
    [(0, [0]), (1, [0]), (400, [0]), (401, [0, 100, 200, 201]), (450, [0, 100, 200, 250]), (500, [0, 100, 200, 300])],
)
def test_windows_start_every_hundred_tokens_and_end_with_the_text(n_tokens: int, starts: List[int]) -> None:
    windows = doc_windows([make_doc([False] * n_tokens)])
    assert [window.start for window in windows] == starts
    assert windows[-1].end == n_tokens
    if n_tokens > 400:
        assert {len(window) for window in windows} == {200}


def test_rows_of_a_long_text_have_fifty_tokens_on_either_side() -> None:
    windows = doc_windows([make_doc([False] * 1234)])
    for window in windows:
        for row in range(window.row_start, window.row_end):
            assert row - window.start >= min(50, row)
            assert window.end - 1 - row >= min(49, 1233 - row)


def test_windows_are_cut_by_words_not_by_whitespace() -> None:
    plain, spaced = make_doc([False] * 700), make_doc([False, True] * 700)
    for window, other in zip(doc_windows([plain]), doc_windows([spaced])):
        assert (window.tokens * 2 == other.tokens).all()
        assert window.counting == other.counting


def test_docs_keep_their_order_and_their_number() -> None:
    docs = [make_doc([False] * n_tokens) for n_tokens in (3, 0, 450, 1)]
    assert [window.doc for window in doc_windows(docs)] == [0, 1, 2, 2, 2, 2, 3]
    assert doc_windows([]) == []


# --- Batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
def test_batches_hold_each_sequence_once_within_their_bounds(seed: int) -> None:
    random.seed(seed)
    lengths = random.choices(range(random.choice([5, 50, 401])), k=random.randint(0, 60))
    max_tokens, max_cells = random.randint(1, 2000), random.randint(1, 300_000)
    batches = list(length_batches(lengths, max_tokens=max_tokens, max_cells=max_cells))
    found = sorted(index for batch in batches for index in batch)
    assert found == [index for index, length in enumerate(lengths) if length]
    for batch in batches:
        longest, shortest = lengths[batch[0]], lengths[batch[-1]]
        assert longest == max(lengths[index] for index in batch)
        if len(batch) > 1:
            assert len(batch) * longest <= max_tokens
            assert len(batch) * longest**2 <= max_cells
            assert longest <= max(2 * shortest, ALWAYS_TOGETHER)


def test_short_sequences_share_a_batch() -> None:
    assert list(length_batches([1, 16, 4, 9])) == [[1, 3, 2, 0]]


# --- Padding and the way back -----------------------------------------------------------------------------------------


def test_ids_are_padded_at_the_right_and_masked() -> None:
    ids, mask = pad_ids([np.array([5, 6, 7]), np.array([8])])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    assert ids.dtype == torch.int64


def test_whitespace_gets_no_id() -> None:
    indexer = WordIndexer(["dog", "\n", "N", "<unk>"])
    docs = [Doc(VOCAB, words=["\n", "Dog", "  ", "7", "cat"]), Doc(VOCAB, words=[])]
    ids = window_ids(docs, doc_windows(docs), indexer)
    assert [row.tolist() for row in ids] == [[0, 2, 3], []]


@pytest.mark.parametrize("seed", range(10))
def test_rows_and_gradients_go_to_windows_and_back(seed: int) -> None:
    random.seed(seed)
    lengths = random.choices([0, 1, 5, 30, 430], k=4)
    docs = [make_doc(random.choices([True, False], weights=[1, 5], k=length)) for length in lengths]
    windows = [window for window in doc_windows(docs) if len(window)]
    first_rows = np.cumsum([0, *(len(doc) for doc in docs)])
    features = torch.randn(int(first_rows[-1]), 3, requires_grad=True)
    result = torch.zeros_like(features)
    if windows:
        positions, is_kept = pad_windows(windows, first_rows=first_rows.tolist())
        padded = 2 * features[positions]
        result = result.index_put((positions[is_kept],), padded[is_kept])
    is_word = torch.tensor([not token.is_space for doc in docs for token in doc], dtype=torch.bool)
    expected = 2 * features * is_word[:, None]
    assert torch.equal(result, expected)
    if windows:
        (gradient,) = torch.autograd.grad(result.sum(), features)
        assert torch.equal(gradient, 2 * is_word[:, None].expand_as(gradient))


def test_positions_count_from_the_start_of_the_doc_unless_told_otherwise() -> None:
    docs = [make_doc([False, False]), make_doc([True, False, False])]
    windows = doc_windows(docs)
    assert pad_windows(windows)[0].tolist() == [[0, 1], [1, 2]]
    assert pad_windows(windows, first_rows=[0, 2])[0].tolist() == [[0, 1], [3, 4]]


def test_whitespace_has_empty_rows_and_columns_in_graphs() -> None:
    window = doc_windows([make_doc([True, False, True, False])])[0]
    graphs = np.arange(1.0, 9.0).reshape(2, 2, 2)
    expanded = expand_graphs(graphs, window)
    assert expanded.shape == (2, 4, 4)
    np.testing.assert_array_equal(expanded[:, [[1], [3]], [1, 3]], graphs)
    assert expanded.sum() == graphs.sum()


def test_a_graph_without_whitespace_does_not_hold_its_batch_in_memory() -> None:
    batch = np.ones((1, 2, 2))
    expanded = expand_graphs(batch, doc_windows([make_doc([False, False])])[0])
    assert not np.shares_memory(expanded, batch)
