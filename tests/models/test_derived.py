"""What is computed from parameters is kept until they change, and never longer."""

import copy
import pickle
from typing import Callable, List

import pytest
import torch
from torch import nn

from glomo_spacy.models.derived import Derived


class Doubled:
    """Counts how often twice a layer's weight is computed."""

    def __init__(self) -> None:
        self.layer = nn.Linear(3, 2)
        self.derived: Derived[torch.Tensor] = Derived()
        self.n_made = 0

    def get(self, settings: object = None) -> torch.Tensor:
        return self.derived.get(self.layer, settings, self.make)

    def make(self) -> torch.Tensor:
        self.n_made += 1
        return self.layer.weight.detach() * 2


def test_it_is_computed_once():
    doubled = Doubled()
    assert doubled.get() is doubled.get()
    assert doubled.n_made == 1


def _in_place(weight: nn.Parameter) -> None:
    with torch.no_grad():
        weight.add_(1)


def _by_data(weight: nn.Parameter) -> None:
    weight.data.add_(1)


def _by_array(weight: nn.Parameter) -> None:
    array = weight.data.numpy()
    array += 1
    weight.data = torch.from_numpy(array)


def _by_optimizer(weight: nn.Parameter) -> None:
    weight.grad = torch.ones_like(weight)
    optimizer = torch.optim.SGD([weight], lr=1.0)
    optimizer.step()
    optimizer.zero_grad()


CHANGES: List[Callable[[nn.Parameter], None]] = [_in_place, _by_data, _by_array, _by_optimizer]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_parameters_make_it_anew(change):
    doubled = Doubled()
    before = doubled.get()
    change(doubled.layer.weight)
    assert torch.equal(doubled.get(), doubled.layer.weight.detach() * 2)
    assert not torch.equal(doubled.get(), before)
    assert doubled.n_made == 2


def test_other_settings_make_it_anew():
    doubled = Doubled()
    assert doubled.get("a") is doubled.get("a")
    doubled.get("b")
    assert doubled.n_made == 2


def test_another_precision_makes_it_anew():
    doubled = Doubled()
    doubled.get()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        doubled.get()
    doubled.layer.double()
    assert doubled.get().dtype == torch.float64
    assert doubled.n_made == 3


def test_nothing_is_kept_while_there_are_gradients():
    doubled = Doubled()
    doubled.get()
    doubled.layer.bias.grad = torch.zeros(2)
    doubled.get(), doubled.get()
    assert doubled.n_made == 3
    doubled.layer.bias.grad = None
    doubled.get(), doubled.get()
    assert doubled.n_made == 4


def test_copies_and_pickles_begin_empty():
    doubled = Doubled()
    doubled.get()
    for other in (copy.deepcopy(doubled.derived), pickle.loads(pickle.dumps(doubled.derived))):
        other.get(doubled.layer, None, doubled.make)
    assert doubled.n_made == 3
