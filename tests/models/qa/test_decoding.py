"""From scores to spans."""

from typing import List, Tuple

import numpy as np
import pytest
import torch
from reference.reader import best_span
from torch import Tensor

from glomo_spacy.models.qa import best_spans
from glomo_spacy.models.qa.decoding import TIE


def places(spans: List[Tuple[int, int, float]]) -> List[Tuple[int, int]]:
    return [(start, end) for start, end, _ in spans]


def test_a_pair_that_is_too_long_loses_to_the_best_that_is_not() -> None:
    start, end = torch.zeros(1, 30), torch.zeros(1, 30)
    start[0, :3] = torch.tensor([0.1, 2.0, 0.3])
    end[0, 20] = 5.0
    mask = torch.ones(1, 30, dtype=torch.bool)
    assert places(best_spans(start, end, mask)[0]) == [(5, 20)]  # any start from 5 is as good: the earliest
    assert places(best_spans(start, end, mask, max_answer=20)[0]) == [(1, 20)]


@pytest.mark.parametrize("max_answer", [1, 3, 16])
def test_best_span_equals_trying_all_pairs(max_answer: int) -> None:
    start, end = torch.randn(2, 5, 9)
    lengths = [9, 1, 4, 9, 7]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    found = best_spans(start, end, mask, max_answer=max_answer)
    expected = [best_span(s[:n].numpy(), e[:n].numpy(), max_answer) for s, e, n in zip(start, end, lengths)]
    assert [places(spans) for spans in found] == [[span] for span in expected]


def test_scores_are_probabilities_and_fall() -> None:
    start, end = torch.randn(2, 2, 4)
    mask = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    for question, spans in enumerate(best_spans(start, end, mask, max_answer=4, k=100)):
        n = int(mask[question].sum())
        shares = [torch.softmax(logits[question, :n].double(), 0) for logits in (start, end)]
        assert sorted(places(spans)) == [(i, j) for i in range(n) for j in range(i, n)]
        assert [score for *_, score in spans] == sorted((score for *_, score in spans), reverse=True)
        expected = [shares[0][i] * shares[1][j] for i, j, _ in spans]
        np.testing.assert_allclose([s for *_, s in spans], expected, rtol=TIE)


def test_masked_tokens_neither_start_nor_end_an_answer() -> None:
    start = end = torch.tensor([[9.0, 1.0, 0.0, 9.0]])
    mask = torch.tensor([[False, True, True, False]])
    assert places(best_spans(start, end, mask, k=9)[0]) == [(1, 1), (1, 2), (2, 2)]


def test_equal_spans_come_earliest_and_shortest_first_in_any_batch() -> None:
    logits: Tensor = torch.zeros(3, 4)
    mask = torch.ones(3, 4, dtype=torch.bool)
    together = best_spans(logits, logits, mask, max_answer=2, k=3)
    assert together == [best_spans(logits[:1], logits[:1], mask[:1], max_answer=2, k=3)[0]] * 3
    assert places(together[0]) == [(0, 0), (0, 1), (1, 1)]


@pytest.mark.parametrize("offset", np.linspace(0.0, TIE, 7))
def test_rounding_does_not_decide_between_equal_answers(offset: float) -> None:
    """Wherever their common score lies, two answers that only rounding tells apart keep their order."""
    mask = torch.ones(1, 3, dtype=torch.bool)
    ends = torch.zeros(1, 3)
    for rounding in (-2e-6, 0.0, 2e-6):
        starts = torch.tensor([[offset, offset + rounding, -5.0]])
        spans = best_spans(starts, ends, mask, max_answer=1, k=3)[0]
        assert places(spans) == [(0, 0), (1, 1), (2, 2)]
        assert spans[0][2] >= spans[1][2] > spans[2][2]


def test_a_better_answer_beats_an_earlier_one_beyond_a_tie() -> None:
    starts = torch.tensor([[0.0, 2 * TIE, TIE / 2]])
    spans = best_spans(starts, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool), max_answer=1, k=3)[0]
    assert places(spans) == [(1, 1), (0, 0), (2, 2)]


def test_no_questions_have_no_answers() -> None:
    assert best_spans(torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool)) == []
