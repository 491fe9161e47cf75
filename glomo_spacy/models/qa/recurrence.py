"""A bidirectional GRU over packed sequences on a CPU, one step for both directions, with its own way back.

torch's own GRU on a CPU runs a dozen small operations per step and direction, each of them recorded for the way back.
Here a step of both directions is one batched product and five operations, and a step back one product and three: all
that does not depend on the step before is done for all steps at once. The equations are torch's (Cho et al. 2014,
with the reset gate after the product):

    r, z = sigmoid(a + U h + c) for each gate;  n = tanh(a_n + r * (U_n h + c_n));  h' = (1 - z) * n + z * h

where a = W x + b is given. Packed means: all first tokens, then all second ones, and so on, rows by falling length, so
that the rows still in use at a step are the first ones (`models.packing`).
"""

from typing import Any, Optional, Sequence, Tuple

import torch
from torch import Tensor


def run_gru(from_inputs: Tensor, weight: Tensor, bias: Tensor, state: Tensor, sizes: Sequence[int]) -> Tensor:
    """The states of both directions, each in its own order of reading.

    from_inputs (Tensor): Products of the inputs with their biases; gates reset, update, candidate.
        Shape: (directions, tokens, 3 * width).
    weight (Tensor): Shape: (directions, 3 * width, width).
    bias (Tensor): Shape: (directions, 3 * width).
    state (Tensor): The first state. Shape: (directions, rows, width).
    sizes (Sequence[int]): Rows in use at each step, falling; their sum is the number of tokens.
    RETURNS (Tensor): Shape: (directions, tokens, width).
    """
    states: Tensor = _PackedGRU.apply(from_inputs, weight, bias, state, sizes)
    return states


class _PackedGRU(torch.autograd.Function):
    """All steps, and all steps back."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any, from_inputs: Tensor, weight: Tensor, bias: Tensor, state: Tensor, sizes: Sequence[int]
    ) -> Tensor:
        n_directions, n_tokens, three_widths = from_inputs.shape
        width = three_widths // 3
        products = torch.empty_like(from_inputs)
        gates = from_inputs.new_empty(n_directions, n_tokens, 2 * width)
        candidates = from_inputs.new_empty(n_directions, n_tokens, width)
        states = from_inputs.new_empty(n_directions, n_tokens, width)
        weight_t, bias_row = weight.transpose(1, 2), bias[:, None]
        hidden = state
        # Each is cut into steps at once: a slice takes as long as a third of an operation of a step.
        for size, product, *parts in zip(
            sizes,
            products.split(sizes, dim=1),
            *(part.split(sizes, dim=1) for part in (*_halves(from_inputs), *_halves(products))),
            *(part.split(sizes, dim=1) for part in (gates, *gates.chunk(2, dim=-1), candidates, states)),
        ):
            given, given_new, from_state, from_state_new, gate, reset, update, candidate, next_hidden = parts
            hidden = hidden[:, :size]
            torch.baddbmm(bias_row, hidden, weight_t, out=product)  # (directions, size, 3 * width)
            torch.add(given, from_state, out=gate).sigmoid_()
            torch.addcmul(given_new, reset, from_state_new, out=candidate).tanh_()
            hidden = torch.lerp(candidate, hidden, update, out=next_hidden)
        ctx.sizes = sizes
        ctx.save_for_backward(weight, state, states, products, gates, candidates)
        return states

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, d_states: Tensor) -> Tuple[Optional[Tensor], ...]:
        weight, state, states, products, gates, candidate = ctx.saved_tensors
        before = _states_before(states, state, ctx.sizes)
        reset, update = gates.chunk(2, dim=-1)
        # How each gate's argument moves with the step's new state: one product per step does all three.
        of_candidate = (1 - update) * (1 - candidate.square())
        slopes = torch.empty_like(products).unflatten(-1, (3, -1))  # (directions, tokens, 3, width)
        torch.mul(of_candidate, reset, out=slopes[:, :, 2])
        torch.mul(slopes[:, :, 2] * _halves(products)[1], 1 - reset, out=slopes[:, :, 0])
        torch.mul((before - candidate) * update, 1 - update, out=slopes[:, :, 1])
        d_total, d_products, d_state = _steps_back(d_states, slopes, update, weight, ctx.sizes)
        d_weight, d_bias = d_products.transpose(1, 2) @ before, d_products.sum(1)
        torch.mul(d_total, of_candidate, out=_halves(d_products)[1])  # the candidate's product, less the reset gate
        return d_products, d_weight, d_bias, d_state, None


def _halves(parts: Tensor) -> Tuple[Tensor, Tensor]:
    """The two gates' part and the candidate's. Shapes: (..., 2 * width), (..., width)."""
    width = parts.shape[-1] // 3
    return parts[..., : 2 * width], parts[..., 2 * width :]


def _states_before(states: Tensor, state: Tensor, sizes: Sequence[int]) -> Tensor:
    """What each step read. Shape: (directions, tokens, width)."""
    steps = states.split(sizes, dim=1)
    return torch.cat([state, *(step[:, :size] for step, size in zip(steps, sizes[1:]))], dim=1)


def _steps_back(
    d_states: Tensor, slopes: Tensor, update: Tensor, weight: Tensor, sizes: Sequence[int]
) -> Tuple[Tensor, Tensor, Tensor]:
    """Gradients of the states, what comes from later steps included, of the products and of the first state."""
    d_total = d_states.clone(memory_format=torch.contiguous_format)
    d_products = torch.empty_like(slopes)
    carried = d_states.new_zeros(len(d_states), 0, d_states.shape[2])
    steps = zip(*(part.split(sizes, dim=1) for part in (d_total, d_products, d_products.flatten(2), slopes, update)))
    for d_hidden, d_product, d_rows, slope, kept in reversed(list(steps)):
        d_hidden[:, : carried.shape[1]] += carried
        torch.mul(d_hidden[:, :, None], slope, out=d_product)  # (directions, size, 3, width)
        carried = torch.baddbmm(d_hidden * kept, d_rows, weight)
    return d_total, d_products.flatten(2), carried
