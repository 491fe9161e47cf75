"""The fast loop and the gradients written by hand are those of the plain cell, for every option and library."""

import copy
import gc
import pickle
import weakref
from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import pytest
import torch
from torch import Tensor

from glomo_spacy.models.mogrifier import CellSettings, MogrifierLSTM, recurrence

WIDTH, CELL, SIZES = 3, 4, [3, 3, 2, 1]
BATCH = 4  # the last row is empty
ALL = {"layer_norm": True, "cell_clip": 0.5, "proj_width": 3, "proj_clip": 0.3}
OPTIONS: List[Dict[str, Any]] = [
    *({"rounds": rounds} for rounds in range(7)),
    *({"rounds": rounds, "rank": 2} for rounds in range(1, 7)),
    *({"input_gate": kind} for kind in ("tied", "free")),
    *({"gate_bias": False, "rank": rank} for rank in (None, 1)),
    *({name: value} for name, value in ALL.items()),
    {"rounds": 0, **ALL},
    {"rounds": 0, "layer_norm": True, "input_gate": "tied"},
    {"rounds": 4, "rank": 2, "input_gate": "tied", **ALL},
    {"rounds": 3, "input_gate": "free", **ALL},
]


class Given(NamedTuple):
    """What a layer is called with."""

    inputs: Tensor
    hidden: Tensor
    cell: Tensor
    mask: Optional[Tensor]


def name_of(options: Dict[str, Any]) -> str:
    return "-".join(f"{name}={value}" for name, value in options.items())


def make_layer(std: float = 0.6, **options: Any) -> MogrifierLSTM:
    """A layer whose every parameter is random, the biases and norms too."""
    layer = MogrifierLSTM(replace(CellSettings(WIDTH, CELL), **options))
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return layer


def make_case(layer: MogrifierLSTM, *, has_mask: bool = True) -> Given:
    like = layer.bias
    n, width = layer.settings.hidden_width, layer.settings.input_width
    mask = like.new_tensor([[0.0, 2.0], [2.0, 0.0], [2.0, 2.0], [0.0, 0.0]]).repeat(1, n)[:, :n]
    shapes = (sum(SIZES), width), (BATCH, n), (BATCH, layer.settings.cell_width)
    given = [torch.randn(shape, dtype=like.dtype).to(like.device).requires_grad_() for shape in shapes]
    return Given(given[0], given[1], given[2], mask if has_mask else None)


def call(layer: MogrifierLSTM, given: Given, *, is_plain: bool = False) -> Tuple[Tensor, Tensor, Tensor]:
    function = layer.plain if is_plain else layer
    return function(*given[:3], SIZES, state_mask=given.mask)


def gradients(layer: MogrifierLSTM, given: Given, *, is_plain: bool = False) -> Tuple[Optional[Tensor], ...]:
    generator = torch.Generator().manual_seed(1)
    results = call(layer, given, is_plain=is_plain)
    factors = [torch.randn(result.shape, generator=generator).to(result.device) for result in results]
    total = sum((result * factor).sum() for result, factor in zip(results, factors))
    return torch.autograd.grad(total, (*given[:3], *layer.parameters()), allow_unused=True)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_gradients_are_those_of_finite_differences(options: Dict[str, Any]) -> None:
    layer = make_layer(**options).double()
    given = make_case(layer)
    names = [name for name, _ in layer.named_parameters()]

    def run(inputs: Tensor, hidden: Tensor, cell: Tensor, *parameters: Tensor) -> Tuple[Tensor, ...]:
        state = dict(zip(names, parameters))
        options = {"state_mask": given.mask}
        result: Tuple[Tensor, ...] = torch.func.functional_call(layer, state, (inputs, hidden, cell, SIZES), options)
        return result

    assert torch.autograd.gradcheck(run, (*given[:3], *layer.parameters()), fast_mode=True)


@pytest.mark.parametrize("options", OPTIONS, ids=name_of)
def test_results_and_gradients_are_those_of_the_plain_cell(options: Dict[str, Any]) -> None:
    layer = make_layer(**options).double()
    given = make_case(layer, has_mask=options.get("rounds") != 3)
    expected = call(layer, given, is_plain=True)
    torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-12)
    for ours, plain in zip(gradients(layer, given), gradients(layer, given, is_plain=True), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-11)


def test_the_options_reach_the_limits() -> None:
    layer = make_layer(**ALL)
    outputs, _, cell = call(layer, make_case(layer))
    assert 0.05 < float((outputs.abs() == 0.3).float().mean()) < 0.95
    assert 0.05 < float((cell[:-1].abs() == 0.5).float().mean()) < 0.95


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"rounds": 0}, ALL], ids=name_of)
def test_float32_is_near_the_plain_cell_with_every_library(options: Dict[str, Any]) -> None:
    layer = make_layer(**options)
    given = make_case(layer)
    expected = call(layer, given, is_plain=True)
    torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-6)
    for ours, plain in zip(gradients(layer, given), gradients(layer, given, is_plain=True), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{}, {"rank": 2}, {"rounds": 0}, ALL], ids=name_of)
def test_a_graphics_processor_gives_the_same(options: Dict[str, Any]) -> None:
    layer = make_layer(**options).double().cuda()
    given = make_case(layer)
    expected = call(layer, given, is_plain=True)
    torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-12)
    for ours, plain in zip(gradients(layer, given), gradients(layer, given, is_plain=True), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-11)


@pytest.mark.parametrize("rounds", [0, 5])
def test_cutting_the_text_into_chunks_changes_nothing(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = make_layer(rounds=rounds)
    given = make_case(layer)
    with torch.no_grad():
        expected = call(layer, given)
        for limit in (1, 4):
            monkeypatch.setattr(recurrence, "CHUNK_TOKENS", limit)
            torch.testing.assert_close(call(layer, given), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rounds", [0, 5])
@pytest.mark.parametrize("has_gradient", [True, False])
def test_a_layer_without_tokens_keeps_its_state(rounds: int, has_gradient: bool) -> None:
    layer = make_layer(rounds=rounds)
    _, hidden, cell, mask = make_case(layer)
    with torch.set_grad_enabled(has_gradient):
        outputs, *state = layer(torch.zeros(0, WIDTH), hidden, cell, [], state_mask=mask)
    assert outputs.shape == (0, CELL)
    torch.testing.assert_close(state, [hidden, cell])
    if has_gradient:
        (state[0].sum() + state[1].sum()).backward()
        torch.testing.assert_close(cell.grad, torch.ones_like(cell))


def test_results_are_new_memory() -> None:
    """A state that is carried on, or changed in place, must not change outputs or the state before."""
    layer = make_layer()
    given = make_case(layer)
    with torch.no_grad():
        outputs, hidden, cell = call(layer, given)
        kept = outputs.clone(), given.hidden.clone()
        hidden.zero_()
        cell.zero_()
        call(layer, given)
    torch.testing.assert_close((outputs, given.hidden.detach()), kept, rtol=0, atol=0)


def test_weights_changed_before_the_way_back_are_noticed() -> None:
    layer = make_layer()
    total = call(layer, make_case(layer))[0].sum()
    with torch.no_grad():
        layer.hidden_weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@pytest.mark.parametrize("options", [{}, ALL], ids=name_of)
def test_intermediate_results_are_freed_with_the_outputs(options: Dict[str, Any]) -> None:
    layer = make_layer(**options)
    gc.disable()  # a cycle of references would live on
    try:
        results = call(layer, make_case(layer))
        alive = weakref.ref(results[0].grad_fn)
        del results
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("precision, error", [("bfloat16", 0.02), ("int8", 0.04)])
@pytest.mark.parametrize(
    "options", [{}, {"rank": 8}, {"rounds": 0}, {"proj_width": 64, "layer_norm": True}], ids=name_of
)
@torch.no_grad()
def test_other_precisions_are_near_float32(options: Dict[str, Any], precision: str, error: float) -> None:
    layer = MogrifierLSTM(CellSettings(**{"input_width": 64, "cell_width": 192, **options}))
    given = make_case(layer)
    exact = call(layer, given)[0]
    layer.precision = precision
    distance = float((call(layer, given)[0] - exact).norm() / exact.norm())
    assert 1e-4 < distance < error
    layer.precision = "float32"
    torch.testing.assert_close(call(layer, given)[0], exact, rtol=0, atol=0)


@torch.no_grad()
def test_int8_computes_each_row_by_itself() -> None:
    layer = MogrifierLSTM(CellSettings(64, 192))
    layer.precision = "int8"
    inputs, hidden, cell, _ = make_case(layer)
    inputs[1::3] *= 100
    whole, _, _ = layer(inputs[:6], hidden[:3], cell[:3], [3, 3])
    alone, _, _ = layer(inputs[:6:3], hidden[:1], cell[:1], [1, 1])
    torch.testing.assert_close(whole[::3], alone, rtol=0, atol=1e-6)


def test_precision_is_left_alone_where_gradients_are_wanted() -> None:
    layer = MogrifierLSTM(CellSettings(64, 192))
    given = make_case(layer)
    exact = call(layer, given)
    layer.precision = "int8"
    torch.testing.assert_close(call(layer, given), exact, rtol=0, atol=0)


def test_autocast_computes_products_in_bfloat16_and_keeps_float32_states() -> None:
    layer = MogrifierLSTM(CellSettings(64, 192))
    given = make_case(layer)
    exact = gradients(layer, given)
    with torch.autocast("cpu", torch.bfloat16):
        results = call(layer, given)
        near = gradients(layer, given)
    assert {result.dtype for result in results} == {torch.float32}
    for ours, expected in zip(near, exact, strict=True):
        assert ours is not None
        assert expected is not None
        assert ours.dtype == torch.float32
        assert 0 < float((ours - expected).norm()) < 0.05 * float(expected.norm())


@pytest.mark.parametrize("has_gradient", [True, False])
def test_small_matrices_stay_in_float32_under_autocast(has_gradient: bool) -> None:
    layer = make_layer(rank=2, layer_norm=True)
    given = make_case(layer)
    with torch.set_grad_enabled(has_gradient):
        exact = call(layer, given)
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(call(layer, given), exact, rtol=0, atol=0)


def test_the_way_back_is_the_same_within_autocast_and_outside() -> None:
    layer = make_layer(rank=2)
    given = make_case(layer)
    exact = gradients(layer, given)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(layer, given)
    torch.testing.assert_close(found, exact, rtol=0, atol=0)


def test_weights_laid_out_once_follow_the_parameters() -> None:
    layer = make_layer()
    given = make_case(layer)
    with torch.no_grad():
        before = call(layer, given)[0]
        layer.q_weights[1].mul_(-1)
        after = call(layer, given)[0]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, call(layer, given, is_plain=True)[0].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@torch.no_grad()
def test_a_layer_that_was_used_can_be_copied(duplicate: Any) -> None:
    layer = make_layer(rank=2)
    given = make_case(layer)
    expected = call(layer, given)
    torch.testing.assert_close(call(duplicate(layer), given), expected, rtol=0, atol=0)
