"""Averages of weights and what begins them."""

import pytest
import torch
from torch import nn

from glomo_spacy.training.averaging import (
    ExponentialAverage,
    MeanAverage,
    NoAverage,
    NonMonotoneTrigger,
    StagnationTrigger,
    build_average,
)
from glomo_spacy.training.config import Pretraining


def begins(trigger, losses):
    """The number of the evaluation after which averaging begins, counted from 1; None: it does not."""
    return next((place + 1 for place, loss in enumerate(losses) if trigger.is_due(losses[:place], loss)), None)


@pytest.mark.parametrize(
    "patience, at_latest, losses, expected",
    [
        (2, None, [5, 4, 3, 2, 1], None),
        (2, None, [5, 4, 4.5, 3, 3.5, 3.2, 2], 6),
        (1, None, [5, 5], 2),  # an equal loss is no new best
        (9, 3, [5, 4, 3, 2], 3),
        (2, 9, [1, 2, 3, 4], 3),
    ],
)
def test_stagnation_is_so_many_evaluations_without_a_new_best(patience, at_latest, losses, expected):
    assert begins(StagnationTrigger(patience=patience, at_latest=at_latest), losses) == expected


@pytest.mark.parametrize(
    "patience, losses, expected",
    [
        (2, [5, 4, 3, 2, 1], None),
        (2, [5, 4, 9, 9], 4),  # compared with 5 and 4: the last two do not count
        (2, [3, 9, 9], None),
        (2, [3, 9, 9, 2.9], None),
        (1, [3, 2, 4, 2.5, 2.1], 3),
    ],
)
def test_non_monotone_compares_with_the_best_of_those_further_back(patience, losses, expected):
    assert begins(NonMonotoneTrigger(patience=patience), losses) == expected


def steps(average, model, values):
    for value in values:
        nn.init.constant_(model.weight, value)
        average.update()


def evaluated(average, model):
    with average.in_place():
        return float(model.weight[0, 0].detach())


def test_a_mean_is_of_the_weights_since_it_began_and_until_then_there_is_none():
    model = nn.Linear(1, 1)
    average = MeanAverage(model, trigger=StagnationTrigger(patience=1, at_latest=None))
    steps(average, model, [7.0, 8.0])
    assert not average.is_used
    assert evaluated(average, model) == 8.0
    average.after_evaluation(3.0)
    average.after_evaluation(4.0)
    assert evaluated(average, model) == 8.0  # no step since
    steps(average, model, [1.0, 2.0, 6.0])
    assert average.is_used
    assert evaluated(average, model) == 3.0
    assert float(model.weight[0, 0].detach()) == 6.0


def test_a_mean_continues_from_its_state():
    model = nn.Linear(1, 1)
    first = MeanAverage(model, trigger=NonMonotoneTrigger(patience=1))
    for loss in (3.0, 2.0, 4.0):
        first.after_evaluation(loss)
    steps(first, model, [1.0, 2.0])
    second = MeanAverage(model, trigger=NonMonotoneTrigger(patience=1))
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    second.load_progress(first.progress())
    steps(second, model, [9.0])
    assert evaluated(second, model) == 4.0
    assert second.progress() == {"is_on": True, "n_steps": 3, "losses": [3.0, 2.0, 4.0]}


def test_an_exponential_average_keeps_its_share():
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 0.0)
    average = ExponentialAverage(model, decay=0.75)
    steps(average, model, [4.0, 4.0])
    assert evaluated(average, model) == 1.75
    assert average.progress() == {}


def test_an_average_begins_again_from_the_weights_as_they_are():
    model = nn.Linear(1, 1)
    average = ExponentialAverage(model, decay=0.5)
    nn.init.constant_(model.weight, 8.0)
    average.restart()
    steps(average, model, [4.0])
    assert evaluated(average, model) == 6.0


def test_weights_come_back_when_an_evaluation_fails():
    model = nn.Linear(1, 1)
    average = ExponentialAverage(model, decay=0.5)
    steps(average, model, [4.0])
    with pytest.raises(RuntimeError, match="no text"), average.in_place():
        raise RuntimeError("no text")
    assert float(model.weight[0, 0].detach()) == 4.0


def test_without_a_decay_or_a_trigger_there_is_no_average():
    model = nn.Linear(1, 1)
    none = build_average(model, decay=None, trigger=None)
    assert isinstance(none, NoAverage)
    steps(none, model, [5.0])
    assert evaluated(none, model) == 5.0
    assert (none.state_dict(), none.progress()) == ({}, {})
    assert isinstance(build_average(model, decay=0.9, trigger=None), ExponentialAverage)
    assert isinstance(build_average(model, decay=None, trigger=NonMonotoneTrigger(patience=5)), MeanAverage)


@pytest.mark.parametrize("name", ["patience", "at_latest"])
def test_a_trigger_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=rf"\[G141\] pretraining.average.{name} must be at least 1, but is 0"):
        StagnationTrigger(**{"patience": 1, "at_latest": 1, name: 0})


def test_two_kinds_of_average_are_refused():
    settings = dict.fromkeys(Pretraining.__dataclass_fields__)
    settings |= {"max_steps": 1, "average_decay": 0.9, "average": {"name": "stagnation"}}
    with pytest.raises(
        ValueError, match=r"\[G331\] pretraining.average_decay and \[pretraining.average\] are two kinds"
    ):
        Pretraining(**settings)


def test_buffers_stay_those_of_the_model():
    model = nn.BatchNorm1d(1)
    average = ExponentialAverage(model, decay=0.5)
    with average.in_place():
        model.running_mean.fill_(3.0)
    assert float(model.running_mean) == 3.0
    assert torch.equal(average.state_dict()["weight"], torch.ones(1))
