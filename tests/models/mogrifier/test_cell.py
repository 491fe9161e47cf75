"""The gating rounds and the cell are those of the paper, and without rounds those of torch's LSTM."""

import math
from typing import Any, Tuple

import numpy as np
import pytest
import torch
from reference.mogrifier import sigmoid
from torch import Tensor, nn

from glomo_spacy.models.mogrifier import CellSettings, MogrifierLSTM, mogrify

SCALARS = [
    (0, 1.0, 2.0),
    (1, 1.462117, 2.0),
    (2, 1.462117, 0.752575),
    (3, 1.734005, 0.752575),
    (4, 1.734005, 0.225887),
    (5, 1.831823, 0.225887),
]


def make_layer(std: float = 0.5, **changes: Any) -> MogrifierLSTM:
    layer = MogrifierLSTM(CellSettings(**{"input_width": 3, "cell_width": 4, **changes}))
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=std)
    return layer


def run(layer: MogrifierLSTM, inputs: Tensor, *, has_gradient: bool = True) -> Tuple[Tensor, Tensor, Tensor]:
    """inputs (seq, batch, m); from a state of zero."""
    settings, (seq, batch, _) = layer.settings, inputs.shape
    state = inputs.new_zeros(batch, settings.hidden_width), inputs.new_zeros(batch, settings.cell_width)
    with torch.set_grad_enabled(has_gradient):
        outputs, hidden, cell = layer(inputs.flatten(0, 1), *state, [batch] * seq)
    return outputs.unflatten(0, (seq, batch)), hidden, cell


@pytest.mark.parametrize("rounds, x, h", SCALARS)
def test_scalars_take_turns_as_the_paper_counts(rounds: int, x: float, h: float) -> None:
    q_weights = [torch.tensor([[0.5]])] * ((rounds + 1) // 2)
    r_weights = [torch.tensor([[-1.0]])] * (rounds // 2)
    found = mogrify(torch.tensor([[1.0]]), torch.tensor([[2.0]]), q_weights, r_weights)
    assert [part.item() for part in found] == pytest.approx([x, h], abs=1e-6)


def test_rounds_are_those_of_the_equations_with_matrices_of_their_own() -> None:
    x, h = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    q_weights = [torch.randn(3, 4, dtype=torch.float64) for _ in range(2)]
    r_weights = [torch.randn(4, 3, dtype=torch.float64)]
    q_biases, r_biases = [torch.randn(3).double() for _ in range(2)], [torch.randn(4).double()]
    found_x, found_h = mogrify(x, h, q_weights, r_weights, q_biases=q_biases, r_biases=r_biases)
    for row in range(5):
        q = [weight.numpy() for weight in q_weights]
        a, b = x[row].numpy(), h[row].numpy()
        a = 2 * sigmoid(q[0] @ b + q_biases[0].numpy()) * a
        b = 2 * sigmoid(r_weights[0].numpy() @ a + r_biases[0].numpy()) * b
        a = 2 * sigmoid(q[1] @ b + q_biases[1].numpy()) * a
        np.testing.assert_allclose(found_x[row], a, atol=1e-12)
        np.testing.assert_allclose(found_h[row], b, atol=1e-12)


def test_a_pair_of_narrow_matrices_acts_as_their_product() -> None:
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    left, right = torch.randn(3, 2), torch.randn(2, 4)
    full, _ = mogrify(x, h, [left @ right], [])
    low, _ = mogrify(x, h, [(left, right)], [])
    torch.testing.assert_close(low, full)


def test_no_rounds_leave_everything_as_it_is() -> None:
    x, h = torch.randn(5, 3), torch.randn(5, 4)
    assert mogrify(x, h, [], []) == (x, h)


def test_rounds_that_do_not_take_turns_are_refused() -> None:
    x, weight = torch.ones(1, 1), torch.ones(1, 1)
    with pytest.raises(ValueError, match="G180.*take turns, x first.*are 1 and 2"):
        mogrify(x, x, [weight], [weight, weight])
    with pytest.raises(ValueError, match="G180.*are 2 and 0"):
        mogrify(x, x, [weight, weight], [])


def test_biases_for_some_rounds_only_are_refused() -> None:
    x, weight = torch.ones(1, 1), torch.ones(1, 1)
    with pytest.raises(ValueError, match="G181.*There are 1 q_biases for 2 q_weights"):
        mogrify(x, x, [weight, weight], [weight], q_biases=[torch.ones(1)])


@pytest.mark.parametrize("has_gradient", [True, False])
def test_a_mogrifier_with_zero_rounds_and_free_gates_is_the_lstm_of_torch(has_gradient: bool) -> None:
    theirs = nn.LSTM(3, 4)
    ours = make_layer(rounds=0, input_gate="free", forget_bias=0.0)
    order = torch.tensor([0, 2, 1, 3])  # torch: input, forget, candidate, output
    with torch.no_grad():
        for name, parts in (
            ("input_weight", [theirs.weight_ih_l0]),
            ("hidden_weight", [theirs.weight_hh_l0]),
            ("bias", [theirs.bias_ih_l0, theirs.bias_hh_l0]),
        ):
            total = sum(part.detach() for part in parts)
            getattr(ours, name).copy_(total.unflatten(0, (4, 4))[order].flatten(0, 1))
    inputs = torch.randn(9, 5, 3)
    expected, (hidden, cell) = theirs(inputs)
    for found, other in zip(run(ours, inputs, has_gradient=has_gradient), (expected, hidden[0], cell[0]), strict=True):
        torch.testing.assert_close(found, other, rtol=0, atol=1e-6)


def test_the_forget_bias_is_added_at_run_time() -> None:
    with_bias, without = make_layer(rounds=2, forget_bias=1.0), make_layer(rounds=2, forget_bias=0.0)
    without.load_state_dict(with_bias.state_dict())
    with torch.no_grad():
        without.bias[8:12] += 1.0  # the third gate
    inputs = torch.randn(6, 2, 3)
    torch.testing.assert_close(run(with_bias, inputs)[0], run(without, inputs)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rank", [None, 2])
def test_gates_without_weights_change_nothing(rank: int) -> None:
    gated, plain = make_layer(rounds=5, rank=rank), make_layer(rounds=0)
    plain.load_state_dict({name: value for name, value in gated.state_dict().items() if name[1] != "_"})
    with torch.no_grad():
        for name, parameter in gated.named_parameters():
            if name[:2] in ("q_", "r_"):
                parameter.zero_()
    inputs = torch.randn(6, 2, 3)
    torch.testing.assert_close(run(gated, inputs)[0], run(plain, inputs)[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rounds, count", [(0, (0, 0)), (1, (1, 0)), (4, (2, 2)), (5, (3, 2))])
def test_odd_rounds_gate_the_input_and_even_ones_the_state(rounds: int, count: Tuple[int, int]) -> None:
    layer = make_layer(rounds=rounds)
    assert (len(layer.q_weights), len(layer.r_weights)) == count
    assert (len(layer.q_biases), len(layer.r_biases)) == count
    assert {tuple(weight.shape) for weight in layer.q_weights} <= {(3, 4)}
    assert {tuple(weight.shape) for weight in layer.r_weights} <= {(4, 3)}


@pytest.mark.parametrize("input_gate, stays_below_1", [("capped", True), ("tied", True), ("free", False)])
def test_capped_and_tied_gates_keep_cells_within_1(input_gate: str, stays_below_1: bool) -> None:
    layer = make_layer(std=2.0, input_gate=input_gate)
    cell = run(layer, torch.randn(40, 8, 3))[2]
    assert bool((cell.abs() <= 1).all()) == stays_below_1


def test_a_capped_gate_is_free_where_it_is_below_the_cap() -> None:
    """With a forget gate near 0 there is room for every input."""
    capped, free = (make_layer(input_gate=gate) for gate in ("capped", "free"))
    with torch.no_grad():
        capped.bias[8:12] = -30.0
    free.load_state_dict(capped.state_dict())
    inputs = torch.randn(6, 2, 3)
    torch.testing.assert_close(run(capped, inputs)[0], run(free, inputs)[0], rtol=0, atol=1e-6)


def test_weights_begin_with_a_variance_of_1_over_fan_in_and_biases_at_0() -> None:
    layer = MogrifierLSTM(CellSettings(200, 300, rank=20))
    for weight, fan_in in (
        (layer.input_weight, 200),
        (layer.hidden_weight, 300),
        (layer.q_weights[0].left @ layer.q_weights[0].right, 300),
        (layer.r_weights[1].left @ layer.r_weights[1].right, 200),
    ):
        assert float(weight.detach().std()) == pytest.approx(1 / math.sqrt(fan_in), rel=0.05)
    assert not layer.bias.any()
    assert not any(bias.any() for bias in [*layer.q_biases, *layer.r_biases])
