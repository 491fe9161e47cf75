"""Answers over several windows of one context."""

import pytest
import torch

from glomo_spacy.models.qa.decoding import best_spans
from glomo_spacy.models.qa.windows import best_spans_of_windows


def test_one_window_gives_what_decoding_gives():
    starts, ends = torch.randn(2, 30)
    expected = best_spans(starts[None], ends[None], torch.ones(1, 30, dtype=torch.bool), k=3)[0]
    found = best_spans_of_windows([starts], [ends], [0], k=3)
    assert [span[:2] for span in found] == [span[:2] for span in expected]
    assert [span[2] for span in found] == pytest.approx([span[2] for span in expected])


def test_windows_side_by_side_give_the_probabilities_of_the_whole():
    """Windows that do not overlap: only answers across their border are lost."""
    starts, ends = torch.randn(2, 20)
    ends[9:13] = -50.0  # no answer crosses the border
    expected = best_spans(starts[None], ends[None], torch.ones(1, 20, dtype=torch.bool), max_answer=4, k=5)[0]
    halves = [starts[:10], starts[10:]], [ends[:10], ends[10:]]
    found = best_spans_of_windows(*halves, [0, 10], max_answer=4, k=5)
    assert [span[:2] for span in found] == [span[:2] for span in expected]
    assert [span[2] for span in found] == pytest.approx([span[2] for span in expected])


def test_an_answer_in_two_windows_is_there_once_with_its_higher_score():
    low, high = torch.full((6,), -20.0), torch.full((6,), -20.0)
    low[4], high[1] = 1.0, 3.0  # token 4 of the context
    found = best_spans_of_windows([low, high], [low, high], [0, 3], k=2)
    first_share = float(torch.tensor([1.0, 3.0]).softmax(0)[1])
    assert found[0][:2] == (4, 4)
    assert found[0][2] == pytest.approx(first_share**2, rel=1e-4)
    assert found[1][:2] != (4, 4)


@pytest.mark.parametrize("rounding", [-2e-6, 0.0, 2e-6])
def test_equal_answers_of_two_windows_come_earliest_first(rounding: float):
    first, second = torch.full((4,), -20.0), torch.full((4,), -20.0)
    first[2], second[2] = 1.0, 1.0 + rounding
    found = best_spans_of_windows([second, first], [second, first], [4, 0], k=2)
    assert [span[:2] for span in found] == [(2, 2), (6, 6)]
    assert found[0][2] >= found[1][2]
