"""The LSTM's fast loop and its gradients are those of the plain equations, whatever library computes the products."""

import copy
import pickle
from typing import Any, List, Optional, Tuple

import pytest
import torch
from reference.elmo_torch import Direction
from torch import Tensor

from glomo_spacy.models.elmo import ElmoConfig, LSTMStack, State, recurrence, set_precision

WIDTH, CELL, BATCH, SEQ = 6, 10, 4, 7
LENGTHS = [3, 7, 0, 5]
Case = Tuple[LSTMStack, Direction]


def make_stack(std: float = 0.5, **changes: Any) -> LSTMStack:
    fields = {"projection_width": WIDTH, "cell_width": CELL, "n_layers": 2, **changes}
    stack = LSTMStack(ElmoConfig(filters=((1, 4),), **fields))
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return stack.eval()


def make_case(clip: float = 0.4) -> Case:
    """Our stack and the plain one with equal weights; the clip is reached."""
    stack = make_stack(cell_clip=clip, proj_clip=clip)
    plain = Direction(WIDTH, CELL, 2, clip)
    plain.load_state_dict(stack.state_dict())
    return stack, plain


def make_batch(lengths: Optional[List[int]] = None) -> Tuple[Tensor, Tensor]:
    lengths = LENGTHS if lengths is None else lengths
    mask = torch.arange(SEQ)[None] < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), SEQ, WIDTH), mask


def run_plain(plain: Direction, inputs: Tensor, lengths: List[int]) -> List[Tensor]:
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    back = torch.tensor(order).argsort()
    return [layer[back] for layer in plain(inputs[order], torch.tensor(lengths)[order])]


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("has_gradient", [True, False])
@pytest.mark.parametrize("lengths", [LENGTHS, [SEQ] * BATCH])
def test_layers_are_those_of_the_plain_equations(lengths: List[int], has_gradient: bool) -> None:
    stack, plain = make_case()
    inputs, mask = make_batch(lengths)
    with torch.set_grad_enabled(has_gradient):
        ours, _ = stack(inputs, mask=mask)
    for layer, expected in zip(ours, run_plain(plain, inputs * mask[..., None], lengths), strict=True):
        assert float((expected[mask].abs() >= 0.4).float().mean()) > 0.02  # clipped
        torch.testing.assert_close(layer[mask], expected[mask], rtol=0, atol=1e-6)
        assert not layer[~mask].any()


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("lengths", [LENGTHS, [SEQ] * BATCH])
def test_gradients_are_those_of_plain_autograd(lengths: List[int]) -> None:
    stack, plain = make_case()
    inputs, mask = make_batch(lengths)
    weights = torch.randn(2, *inputs.shape) * mask[..., None]
    found = []
    for network in (stack, plain):
        given = (inputs * mask[..., None]).requires_grad_()
        layers = stack(given, mask=mask)[0] if network is stack else run_plain(plain, given, lengths)
        sum((layer * weight).sum() for layer, weight in zip(layers, weights)).backward()
        found.append([given.grad, *(parameter.grad for parameter in network.parameters())])
    for ours, theirs in zip(*found, strict=True):
        assert theirs is not None
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("clip", [0.4, None])
def test_gradients_of_states_and_of_all_else_agree_with_differences(clip: Optional[float]) -> None:
    stack = make_stack(projection_width=3, cell_width=4, cell_clip=clip, proj_clip=clip).double()
    mask = torch.arange(4)[None] < torch.tensor([2, 4, 0])[:, None]
    names = [name for name, _ in stack.named_parameters()]

    def run(inputs: Tensor, hidden: Tensor, cell: Tensor, *parameters: Tensor) -> Tuple[Tensor, ...]:
        options = {"mask": mask, "state": State(hidden, cell)}
        layers, state = torch.func.functional_call(stack, dict(zip(names, parameters)), (inputs,), options)
        return (*layers, *state)

    shapes = (3, 4, 3), (2, 3, 3), (2, 3, 4)
    given = [(0.3 * torch.randn(shape, dtype=torch.float64)).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(run, (*given, *stack.parameters()), fast_mode=True)


def test_a_row_is_the_same_alone_and_in_a_batch() -> None:
    stack, _ = make_case()
    inputs, mask = make_batch()
    layers, state = stack(inputs, mask=mask)
    for row, length in enumerate(LENGTHS):
        alone, end = stack(inputs[row : row + 1, :length])
        for layer, expected in zip(alone, layers, strict=True):
            torch.testing.assert_close(layer[0], expected[row, :length], rtol=0, atol=1e-6)
        for part, expected in zip(end, state, strict=True):
            torch.testing.assert_close(part[:, 0], expected[:, row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("has_gradient", [True, False])
def test_state_goes_on_where_each_row_ended(has_gradient: bool) -> None:
    stack, _ = make_case()
    inputs, mask = make_batch()
    with torch.set_grad_enabled(has_gradient):
        whole, end = stack(inputs, mask=mask)
        first, state = stack(inputs[:, :4], mask=mask[:, :4])
        second, last = stack(inputs[:, 4:], mask=mask[:, 4:], state=state)
    for parts in zip(whole, first, second, strict=True):
        torch.testing.assert_close(torch.cat(parts[1:], dim=1), parts[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(tuple(last), tuple(end), rtol=0, atol=1e-6)


def test_an_empty_row_keeps_its_state() -> None:
    stack, _ = make_case()
    inputs, mask = make_batch()
    state = State(torch.randn(2, BATCH, WIDTH), torch.randn(2, BATCH, CELL))
    _, end = stack(inputs, mask=mask, state=state)
    for before, after in zip(state, end, strict=True):
        torch.testing.assert_close(after[:, 2], before[:, 2])
        assert not torch.equal(after[:, 1], before[:, 1])


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
@pytest.mark.parametrize("has_gradient", [True, False])
def test_a_batch_without_tokens_is_ordinary(shape: Tuple[int, int], has_gradient: bool) -> None:
    stack, _ = make_case()
    with torch.set_grad_enabled(has_gradient):
        layers, state = stack(torch.zeros(*shape, WIDTH))
    assert [layer.shape for layer in layers] == [(*shape, WIDTH)] * 2
    assert state.cell.shape == (2, shape[0], CELL)


@torch.no_grad()
def test_cutting_the_text_into_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stack, _ = make_case()
    inputs, mask = make_batch()
    expected, expected_end = stack(inputs, mask=mask)
    monkeypatch.setattr(recurrence, "CHUNK_GATES", 4 * CELL * 5)
    layers, end = stack(inputs, mask=mask)
    torch.testing.assert_close(layers, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(tuple(end), tuple(expected_end), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("product_library")
@pytest.mark.parametrize("precision, error", [("bfloat16", 0.02), ("int8", 0.04)])
@torch.no_grad()
def test_other_precisions_are_near_float32(precision: str, error: float) -> None:
    stack = make_stack(0.1, projection_width=32, cell_width=64)
    inputs = torch.randn(BATCH, SEQ, 32)
    exact, _ = stack(inputs)
    set_precision(stack, precision)
    near, _ = stack(inputs)
    distance = float((near[-1] - exact[-1]).norm() / exact[-1].norm())
    assert 1e-4 < distance < error
    set_precision(stack, "float32")
    torch.testing.assert_close(stack(inputs)[0], exact)


@torch.no_grad()
def test_int8_computes_each_row_by_itself() -> None:
    stack = make_stack()
    set_precision(stack, "int8")
    inputs, _ = make_batch()
    inputs[0] *= 100
    alone, _ = stack(inputs[1:2])
    torch.testing.assert_close(stack(inputs)[0][1][1], alone[1][0], rtol=0, atol=1e-6)


def test_precision_is_left_alone_where_gradients_are_wanted() -> None:
    stack, _ = make_case()
    inputs, _ = make_batch()
    exact, _ = stack(inputs)
    set_precision(stack, "int8")
    torch.testing.assert_close(stack(inputs)[0], exact, rtol=0, atol=0)


def test_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="G100.*'int4'.*float32, bfloat16, int8"):
        set_precision(make_stack(), "int4")


def test_autocast_computes_products_in_bfloat16_and_keeps_float32_states() -> None:
    stack = make_stack(0.1, projection_width=32, cell_width=64)
    inputs = torch.randn(BATCH, SEQ, 32)
    gradients = []
    for is_half in (False, True):
        stack.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            layers, state = stack(inputs)
        layers[-1].square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in stack.parameters() if parameter.grad is not None])
        assert layers[-1].dtype == state.cell.dtype == torch.float32
    for exact, near in zip(*gradients, strict=True):
        assert near.dtype == torch.float32
        assert 0 < float((exact - near).norm()) < 0.05 * float(exact.norm())


def test_weights_laid_out_once_follow_the_parameters() -> None:
    stack, _ = make_case()
    inputs, _ = make_batch()
    with torch.no_grad():
        before = stack(inputs)[0][1]
        stack.layers[0].projection.mul_(-1)
        after = stack(inputs)[0][1]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, stack(inputs)[0][1].detach(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda stack: pickle.loads(pickle.dumps(stack))])
@torch.no_grad()
def test_a_stack_that_was_used_can_be_copied(duplicate: Any) -> None:
    stack, _ = make_case()
    inputs, _ = make_batch()
    expected, _ = stack(inputs)
    torch.testing.assert_close(duplicate(stack)(inputs)[0], expected, rtol=0, atol=0)


def test_dropout_acts_on_inputs_in_training_only() -> None:
    stack = make_stack(dropout=0.5)
    inputs, _ = make_batch()
    assert torch.equal(stack(inputs)[0][0], stack(inputs)[0][0])
    stack.train()
    assert not torch.equal(stack(inputs)[0][0], stack(inputs)[0][0])


@pytest.mark.parametrize("n_layers", [1, 3])
def test_skip_connections_add_the_input_from_the_second_layer_on(n_layers: int) -> None:
    stack = make_stack(n_layers=n_layers)
    for layer in stack.layers:
        torch.nn.init.zeros_(layer.projection)
    stack.layers[0].projection.data.fill_(0.1)
    inputs, _ = make_batch()
    first, *others = stack(inputs)[0]
    assert first.any()
    for layer in others:
        torch.testing.assert_close(layer, first)


def test_forget_bias_is_added_at_run_time() -> None:
    stack = make_stack(forget_bias=0.0, use_skip_connections=False)
    inputs, _ = make_batch()
    expected = stack(inputs)[0]
    raised = make_stack(forget_bias=1.0, use_skip_connections=False)
    raised.load_state_dict(stack.state_dict())
    for layer in raised.layers:
        layer.bias.data[2 * CELL : 3 * CELL] -= 1
    torch.testing.assert_close(raised(inputs)[0], expected, rtol=0, atol=1e-6)
