"""A bidirectional GRU over packed sequences on a CPU, one step for both directions, with its own way back.

torch's own GRU on a CPU runs a dozen small operations per step and direction, each of them recorded for the way back.
Here a step of both directions is one batched product and four operations, and a step back one product and three: all
that does not depend on the step before is done for all steps at once. The equations are torch's (Cho et al. 2014,
with the reset gate after the product):

    r, z = sigmoid(a + U h + c) for each gate;  n = tanh(a_n + r * (U_n h + c_n));  h' = (1 - z) * n + z * h

where a = W x + b is given. Packed means: all first tokens, then all second ones, and so on, rows by falling length, so
that the rows still in use at a step are the first ones (`models.packing`).
"""

from typing import Any, List, Optional, Sequence, Tuple

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
    needs_way_back = torch.is_grad_enabled()  # within the function it never is
    states: Tensor = _PackedGRU.apply(from_inputs, weight, bias, state, sizes, needs_way_back)
    return states


class _PackedGRU(torch.autograd.Function):
    """All steps, and all steps back."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any,
        from_inputs: Tensor,
        weight: Tensor,
        bias: Tensor,
        state: Tensor,
        sizes: Sequence[int],
        needs_way_back: bool,
    ) -> Tensor:
        n_directions, n_tokens, three_widths = from_inputs.shape
        width = three_widths // 3
        states = from_inputs.new_empty(n_directions, n_tokens, width)
        products = from_inputs.new_empty(n_directions, n_tokens, three_widths) if needs_way_back else None
        gates = torch.empty_like(products[..., : 2 * width]) if products is not None else None
        weight_t, bias_row = weight.transpose(1, 2), bias[:, None]
        hidden, start = state, 0
        for size in sizes:
            at = slice(start, start + size)
            hidden = hidden[:, :size]
            given = from_inputs[:, at]
            product = torch.baddbmm(bias_row, hidden, weight_t)  # (directions, size, 3 * width)
            gate = torch.sigmoid_(given[..., : 2 * width] + product[..., : 2 * width])
            candidate = torch.addcmul(given[..., 2 * width :], gate[..., :width], product[..., 2 * width :]).tanh_()
            hidden = torch.lerp(candidate, hidden, gate[..., width:])
            states[:, at] = hidden
            if products is not None and gates is not None:
                products[:, at], gates[:, at] = product, gate
                products[:, at, :width] = candidate
            start += size
        ctx.sizes = sizes
        ctx.save_for_backward(weight, state, states, products, gates)
        return states

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, d_states: Tensor) -> Tuple[Optional[Tensor], ...]:
        weight, state, states, products, gates = ctx.saved_tensors
        width = state.shape[-1]
        before = _states_before(states, state, ctx.sizes)
        reset, update = gates.split(width, dim=-1)
        candidate, recurrent = products[..., :width], products[..., 2 * width :]
        # How each gate's argument moves with the step's new state: one product per step does all three.
        of_candidate = (1 - update) * (1 - candidate.square())
        slopes = torch.stack(
            [
                of_candidate * recurrent * reset * (1 - reset),
                (before - candidate) * update * (1 - update),
                of_candidate * reset,
            ],
            dim=2,
        )  # (directions, tokens, 3, width)
        d_total, d_products, d_state = _steps_back(d_states, slopes, update, weight, ctx.sizes)
        d_weight = d_products.transpose(1, 2) @ before
        d_bias = d_products.sum(1)
        d_inputs = torch.cat([d_products[..., : 2 * width], d_total * of_candidate], dim=-1)
        return d_inputs, d_weight, d_bias, d_state, None, None


def _states_before(states: Tensor, state: Tensor, sizes: List[int]) -> Tensor:
    """What each step read. Shape: (directions, tokens, width)."""
    parts, start = [state], 0
    for size, next_size in zip(sizes, sizes[1:]):
        parts.append(states[:, start : start + next_size])
        start += size
    return torch.cat(parts, dim=1)


def _steps_back(
    d_states: Tensor, slopes: Tensor, update: Tensor, weight: Tensor, sizes: List[int]
) -> Tuple[Tensor, Tensor, Tensor]:
    """Gradients of the states, what comes from later steps included, of the products and of the first state."""
    d_total = d_states.clone(memory_format=torch.contiguous_format)
    d_products = torch.empty_like(slopes)  # (directions, tokens, 3, width)
    carried = d_states.new_zeros(len(d_states), 0, d_states.shape[2])
    end = d_states.shape[1]
    for size in reversed(sizes):
        at = slice(end - size, end)
        d_hidden = d_total[:, at]
        d_hidden[:, : carried.shape[1]] += carried
        d_product = torch.mul(d_hidden[:, :, None], slopes[:, at])  # (directions, size, 3, width)
        d_products[:, at] = d_product
        carried = torch.baddbmm(d_hidden * update[:, at], d_product.flatten(2), weight)
        end -= size
    return d_total, d_products.flatten(2), carried
