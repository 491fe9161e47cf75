"""Schedules: the rate at each share of the budget."""

import pytest

from glomo_spacy.training.schedules import SCHEDULES, CosineSchedule, LinearSchedule, PatienceSchedule, Schedule


@pytest.mark.parametrize("used, factor", [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.7, 1.0), (1.5, 1.0)])
def test_constant_rises_over_the_warmup_and_stays(used, factor):
    assert Schedule(warmup=0.1).factor(used) == pytest.approx(factor)


@pytest.mark.parametrize(
    "used, factor", [(0.01, 0.5), (0.02, 1.0), (0.5, 1.0), (0.75, 0.525), (1.0, 0.05), (1.2, 0.05)]
)
def test_linear_holds_then_falls_to_its_floor(used, factor):
    assert LinearSchedule(warmup=0.02, hold=0.5, floor=0.05).factor(used) == pytest.approx(factor)


@pytest.mark.parametrize("used, factor", [(0.1, 0.5), (0.2, 1.0), (0.6, 0.55), (1.0, 0.1), (1.2, 0.1)])
def test_cosine_falls_to_its_floor(used, factor):
    assert CosineSchedule(warmup=0.2, floor=0.1).factor(used) == pytest.approx(factor)


def test_patience_divides_after_three_evaluations_without_a_best_and_stops_below_one_hundredth():
    schedule = PatienceSchedule(warmup=0.0, patience=3, decay=2.0, stop_below=0.01)
    for improved in (True, False, False, True, False, False):
        schedule.after_evaluation(improved=improved)
    assert schedule.factor(0.5) == 1.0
    schedule.after_evaluation(improved=False)
    assert schedule.factor(0.5) == 0.5
    evaluations = 0
    while not schedule.is_finished:
        schedule.after_evaluation(improved=False)
        evaluations += 1
    assert schedule.factor(0.5) == 2**-7  # the first below 0.01
    assert evaluations == 6 * 3


def test_patience_continues_from_its_state():
    schedule = PatienceSchedule(warmup=0.0, patience=2, decay=4.0, stop_below=0.01)
    for _ in range(3):
        schedule.after_evaluation(improved=False)
    copy = PatienceSchedule(warmup=0.0, patience=2, decay=4.0, stop_below=0.01)
    copy.load_state_dict(schedule.state_dict())
    copy.after_evaluation(improved=False)
    assert (schedule.factor(1.0), copy.factor(1.0)) == (0.25, 0.0625)


def test_only_patience_ends_a_run_by_itself():
    plain = [SCHEDULES["constant"](0.0), SCHEDULES["linear"](0.0, 0.5, 0.0), SCHEDULES["cosine"](0.0, 0.0)]
    for schedule in plain:
        schedule.after_evaluation(improved=False)
        schedule.load_state_dict(schedule.state_dict())
        assert not schedule.is_finished


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match=r"\[G141\] pretraining.schedule.warmup must be from 0 to 1, but is 2"):
        Schedule(warmup=2)
