"""Answers become tokens by overlap, and long contexts become windows that leave nothing out."""

from typing import Optional, Tuple

import numpy as np
import pytest

from glomo_spacy.corpora.squad_alignment import (
    AlignmentReport,
    align_answer,
    answer_text,
    normalize_quotes,
    training_window,
    windows,
)

#          0123456789012345678
CONTEXT = "in 1862, 31m tall  ."
OFFSETS = np.array([(0, 2), (3, 7), (7, 8), (9, 12), (13, 17), (19, 20)])


@pytest.mark.parametrize(
    "start, end, span, kind",
    [
        (3, 7, (1, 1), "exact"),
        (0, 8, (0, 2), "exact"),
        (2, 8, (1, 2), "exact"),  # the answer begins with a blank
        (9, 11, (3, 3), "widened"),  # "31" of "31m"
        (11, 14, (3, 4), "widened"),
        (7, 8, (2, 2), "exact"),
        (19, 20, (5, 5), "exact"),
        (17, 19, None, "lost"),
        (8, 9, None, "lost"),
    ],
)
def test_an_answer_is_all_tokens_that_share_a_character_with_it(
    start: int, end: int, span: Optional[Tuple[int, int]], kind: str
) -> None:
    report = AlignmentReport()
    assert align_answer(OFFSETS, start, end, report=report) == span
    assert report.to_dict() == {"exact": 0, "widened": 0, "lost": 0, kind: 1}
    assert report.total == 1


def test_the_text_of_an_answer_reaches_from_its_first_token_to_its_last() -> None:
    assert answer_text(CONTEXT, OFFSETS, (1, 3)) == "1862, 31m"


def test_quotes_are_normalised_without_moving_a_character() -> None:
    assert normalize_quotes("say ''no'' or ``yes``, it's") == 'say " no"  or " yes" , it\'s'


@pytest.mark.parametrize("n_tokens", [1, 9, 10, 11, 14, 15, 30, 101])
@pytest.mark.parametrize("size, stride", [(10, 5), (10, 10), (10, 1), (10, 7)])
def test_windows_leave_no_token_and_no_short_answer_out(n_tokens: int, size: int, stride: int) -> None:
    found = windows(n_tokens, size=size, stride=stride)
    assert {token for begin, end in found for token in range(begin, end)} == set(range(n_tokens))
    assert all(0 < end - begin <= size for begin, end in found)
    assert len(found) == len(set(found))
    longest = min(size - stride, n_tokens)
    for first in range(n_tokens - longest + 1):
        assert any(begin <= first and first + longest <= end for begin, end in found)


def test_a_short_context_is_one_window() -> None:
    assert windows(400) == [(0, 400)]
    assert windows(401) == [(0, 400), (1, 401)]


@pytest.mark.parametrize("size, stride", [(10, 0), (10, 11)])
def test_a_stride_that_leaves_tokens_out_is_refused(size: int, stride: int) -> None:
    with pytest.raises(ValueError, match=rf"\[G076\] A window of 10 tokens with a stride of {stride} would leave"):
        windows(30, size=size, stride=stride)


@pytest.mark.parametrize(
    "n_tokens, answer, expected",
    [
        (9, (0, 2), (0, 9)),
        (30, (0, 1), (0, 10)),
        (30, (14, 15), (10, 20)),
        (30, (29, 29), (20, 30)),
        (30, (3, 16), (3, 17)),  # an answer that is longer than a window
    ],
)
def test_a_training_window_holds_the_whole_answer(
    n_tokens: int, answer: Tuple[int, int], expected: Tuple[int, int]
) -> None:
    begin, end = training_window(n_tokens, answer, size=10)
    assert (begin, end) == expected
    assert begin <= answer[0]
    assert answer[1] < end
