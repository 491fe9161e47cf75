"""Optimisers: which parameter gets which rate and which decay."""

import pytest
import torch
from torch import nn

from glomo_spacy.training.optimizers import (
    AdadeltaSettings,
    AdamSettings,
    AdamWSettings,
    SGDSettings,
    awaken,
    set_factor,
)


@pytest.fixture
def model() -> nn.Module:
    return nn.ModuleDict({"graph": nn.Linear(2, 2), "decoder": nn.Linear(2, 2)})


def rates(optimizer, model):
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        by_id[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_a_pattern_scales_the_rate_of_its_parameters_and_biases_do_not_decay(model):
    settings = AdamWSettings(0.1, 0.5, {"graph.*": 0.25}, 0.9, 0.99, 1e-8)
    optimizer = settings.build(model)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert rates(optimizer, model) == {
        "graph.weight": (0.025, 0.5),
        "graph.bias": (0.025, 0.0),
        "decoder.weight": (0.1, 0.5),
        "decoder.bias": (0.1, 0.0),
    }


def test_adam_adds_its_penalty_to_the_gradient_and_without_momentum_steps_by_its_sign(model):
    """The gradients are 0, so that nothing but the penalty moves; decoupled decay would take off a twentieth."""
    optimizer = AdamSettings(0.1, 0.5, {}, 0.0, 0.999, 1e-8).build(model)
    before = model["graph"].weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(model["graph"].weight.detach(), before - 0.1 * before.sign(), rtol=1e-4, atol=1e-5)


def test_adadelta_steps_by_the_ratio_of_the_roots_of_both_means(model):
    rate, rho, eps = 0.5, 0.95, 1e-6
    optimizer = AdadeltaSettings(rate, 0.0, {}, rho, eps).build(model)
    weight = model["graph"].weight
    expected, squares, steps = weight.detach().clone(), torch.zeros(2, 2), torch.zeros(2, 2)
    for gradient in (torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.tensor([[-1.0, -1.0], [3.0, 0.1]])):
        squares = rho * squares + (1 - rho) * gradient**2
        step = gradient * (steps + eps).sqrt() / (squares + eps).sqrt()
        steps = rho * steps + (1 - rho) * step**2
        expected -= rate * step
        weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(weight.detach(), expected)


def test_the_first_pattern_that_fits_counts(model):
    optimizer = SGDSettings(1.0, 0.0, {"graph.weight": 0.5, "graph.*": 0.1}, 0.2).build(model)
    assert {name: rate for name, (rate, _) in rates(optimizer, model).items()}["graph.weight"] == 0.5


def test_the_schedule_scales_every_group_from_its_own_base(model):
    optimizer = SGDSettings(8.0, 0.0, {"graph.*": 0.25}, 0.2).build(model)
    for factor in (0.5, 0.1):
        set_factor(optimizer, factor)
    assert sorted({rate for rate, _ in rates(optimizer, model).values()}) == pytest.approx([0.2, 0.8])


def test_a_pattern_that_fits_nothing_lists_the_parameters(model):
    with pytest.raises(ValueError, match=r"\[G300\].*'encoder.\*' fits no parameter.*graph.weight"):
        SGDSettings(1.0, 0.0, {"encoder.*": 0.5}, 0.2).build(model)


def test_a_pattern_may_name_a_part_that_a_model_could_have() -> None:
    reader = nn.Module()
    reader.graphs, reader.encoder = None, nn.Linear(2, 2)
    settings = SGDSettings(1.0, 0.0, {"graphs.*": 0.1}, 0.2)
    assert settings.build(reader).param_groups[0]["lr"] == 1.0
    reader.graphs = nn.Linear(2, 2)
    assert {group["lr"] for group in settings.build(reader).param_groups} == {0.1, 1.0}
    for pattern in ("graphs.weihgt", "grahps.*"):
        with pytest.raises(ValueError, match="G300"):
            SGDSettings(1.0, 0.0, {pattern: 0.1}, 0.2).build(reader)


def test_frozen_parameters_are_left_out(model):
    model["graph"].requires_grad_(False)
    optimizer = SGDSettings(1.0, 0.0, {}, 0.2).build(model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@pytest.mark.parametrize("is_shared", [False, True])
def test_parameters_sleep_until_their_share_of_the_budget_is_used(model, is_shared):
    optimizer = SGDSettings(0.1, 0.0, {}, 0.0, starts={"graph.*": 0.5}).build(model)
    for used, is_awake in ((0.0, False), (0.49, False), (0.5, True), (0.2, False), (1.0, True)):
        awaken(optimizer, used, is_shared=is_shared)
        set_factor(optimizer, 1.0)
        assert rates(optimizer, model)["graph.weight"][0] == (0.1 if is_awake else 0.0)
        assert rates(optimizer, model)["decoder.weight"][0] == 0.1
        assert model["graph"].weight.requires_grad == (is_awake or is_shared)
        assert model["decoder"].weight.requires_grad


def test_a_start_outside_the_run_or_of_nothing_is_an_error(model):
    with pytest.raises(ValueError, match=r"G141.*graph.*from 0 to 1"):
        SGDSettings(0.1, 0.0, {}, 0.0, starts={"graph.*": 400})
    with pytest.raises(ValueError, match="G300"):
        SGDSettings(0.1, 0.0, {}, 0.0, starts={"grpah.*": 0.5}).build(model)
    with pytest.raises(ValueError, match=r"G141.*something that learns from the beginning"):
        SGDSettings(0.1, 0.0, {}, 0.0, starts={"*": 0.1}).build(model)
