"""Scores from counts, and intervals of their differences over samples of documents."""

from typing import Any, Sequence

import numpy as np
import pytest
from spacy.scorer import PRFScore

from glomo_spacy.evaluation.bootstrap import Counts, paired_interval, score_of


def accuracy_counts(right: Sequence[int], length: int) -> Counts:
    """Documents of one length: so many tokens right, each other one a false alarm and a miss."""
    rows = [[[count, length - count, length - count]] for count in right]
    return np.asarray(rows, dtype=np.int32)


@pytest.mark.parametrize("counts", [(3, 1, 2), (0, 2, 5), (4, 0, 0), (0, 0, 7), (0, 0, 0)])
def test_a_score_is_that_of_spacy(counts: tuple[int, int, int]) -> None:
    expected = PRFScore(tp=counts[0], fp=counts[1], fn=counts[2])
    for measure, value in (("p", expected.precision), ("r", expected.recall), ("f", expected.fscore)):
        assert float(score_of([counts], measure)) == pytest.approx(value)


def test_several_labels_are_averaged() -> None:
    assert float(score_of([[1, 0, 0], [0, 1, 1], [1, 1, 1]], "f")) == pytest.approx((1 + 0 + 0.5) / 3)


def test_samples_are_scored_side_by_side() -> None:
    samples = np.asarray([[[1, 0, 0]], [[0, 1, 1]]])
    assert score_of(samples, "f").tolist() == [1.0, 0.0]


def test_an_interval_is_that_of_samples_scored_one_by_one() -> None:
    generator = np.random.default_rng(1)
    first, second = (generator.integers(0, 9, size=(12, 2, 3)) for _ in range(2))
    found = paired_interval([first], [second], measure="f", n_samples=400, seed=5)
    drawn = np.random.default_rng((5, 0)).integers(12, size=(400, 12))
    differences = [score_of(second[docs].sum(0), "f") - score_of(first[docs].sum(0), "f") for docs in drawn]
    assert found == pytest.approx(tuple(np.percentile(differences, [2.5, 97.5])))


def test_the_interval_covers_the_difference_as_often_as_it_says() -> None:
    def chance(gain: float, ease: "np.ndarray[Any, Any]") -> Any:
        return 1 / (1 + np.exp(-gain - ease))  # of a token to be right; some documents are easier for both

    generator = np.random.default_rng(0)
    every = generator.normal(size=100_000)
    truth = np.mean(chance(1.0, every)) - np.mean(chance(0.5, every))
    n_inside = 0
    for _ in range(200):
        ease = generator.normal(size=60)
        first, second = (accuracy_counts(generator.binomial(20, chance(gain, ease)), 20) for gain in (0.5, 1.0))
        low, high = paired_interval([first], [second], measure="f", n_samples=300)
        n_inside += low <= truth <= high
    assert 180 <= n_inside <= 198  # 190 expected


def test_pairing_leaves_out_what_is_equally_hard_for_both() -> None:
    first = accuracy_counts([0, 10] * 20, 10)
    second = accuracy_counts([1, 10] * 20, 10)
    low, high = paired_interval([first], [second], measure="f")
    assert 0.02 < low < 0.05 < high < 0.08  # each alone varies by 15 points


def test_equal_runs_differ_by_nothing() -> None:
    counts = accuracy_counts([3, 8, 5], 10)
    assert paired_interval([counts], [counts], measure="f") == (0.0, 0.0)


def test_runs_are_averaged() -> None:
    bad, good = accuracy_counts([0] * 8, 4), accuracy_counts([4] * 8, 4)
    assert paired_interval([bad, bad], [bad, good], measure="f") == (0.5, 0.5)


def test_many_documents_are_sampled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    first, second = (generator.integers(0, 9, size=(12, 1, 3)) for _ in range(2))
    whole = paired_interval([first], [second], measure="f")
    monkeypatch.setattr("glomo_spacy.evaluation.bootstrap._AT_ONCE", 12 * 300)
    pieces = paired_interval([first], [second], measure="f")
    assert pieces != whole
    assert pieces == pytest.approx(whole, abs=0.01)
