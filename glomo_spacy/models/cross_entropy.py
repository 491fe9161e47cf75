"""Cross-entropy over all words of a vocabulary, computed so that logits stay in the processor's cache.

With 20,000 words a window's logits fill 56 MB, and `F.cross_entropy` passes over them a dozen times, forward and back.
Here a block of rows at a time becomes logits, losses and shares, and only the shares are kept, in the type of the
products: a forward and backward pass takes 0.4 (bfloat16) to 0.5 (float32) of the time on a CPU.
"""

from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from .precision import product_dtype
from .products import linear

_BLOCK = 1 << 22  # logits computed at a time on a CPU, 16 MB
_CHUNK = 1 << 24  # logits computed at a time elsewhere, where no gradient is wanted


def blocked_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, dtype: Optional[torch.dtype] = None
) -> Tensor:
    """-log softmax(states @ weight.T + bias) at the targets, with its gradient.

    states (Tensor): Shape: (targets, width).
    weight (Tensor): A row per word. Shape: (vocab, width).
    bias (Tensor): Minus infinity for words that have no chance. Shape: (vocab,).
    targets (Tensor): Word ids. Shape: (targets,).
    dtype (Optional[torch.dtype]): Of the products over all words; the target's own logit, sums and gradients of the
        target's row are at least float32. None: autocast's where it is on, else the weights' own.
    RETURNS (Tensor): Nats, in the type of the bias. Shape: (targets,). Without gradients memory is bounded whatever
        the number of targets.
    """
    states, dtype = states.to(weight.dtype), dtype or product_dtype(weight)
    if not torch.is_grad_enabled():
        return _forward(states, weight, (states.to(dtype), weight.to(dtype)), bias, targets, None)
    losses: Tensor = _BlockedCrossEntropy.apply(states, weight, bias, targets, dtype)
    return losses


def _forward(
    states: Tensor,
    weight: Tensor,
    factors: Tuple[Tensor, Tensor],
    bias: Tensor,
    targets: Tensor,
    shares: Optional[Tensor],
) -> Tensor:
    """The losses; `factors` are states and weight in the type of the products, `shares` (targets, vocab) is filled."""
    losses = bias.new_empty(len(states))
    is_cpu = states.device.type == "cpu"
    size = len(states) + 1 if shares is not None and not is_cpu else (_BLOCK if is_cpu else _CHUNK) // len(weight) + 1
    for begin in range(0, len(states), size):
        block = slice(begin, begin + size)
        logits = linear(factors[0][block], factors[1]).to(bias.dtype).add_(bias)  # (block, vocab)
        highest = logits.amax(1, keepdim=True)
        total = logits.sub_(highest).exp_().sum(1, keepdim=True)
        losses[block] = (total.log() + highest)[:, 0]
        if shares is not None:
            shares[block] = logits.mul_(1 / total)
    return losses.sub_((states * weight[targets]).sum(1) + bias[targets])


class _BlockedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        rows, columns = states.to(dtype), weight.to(dtype)
        shares = columns.new_empty(len(states), len(weight))
        losses = _forward(states, weight, (rows, columns), bias, targets, shares)
        ctx.save_for_backward(states, weight, columns, shares, targets)
        return losses

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tuple[Optional[Tensor], ...]:
        states, weight, columns, shares, targets = ctx.saved_tensors
        gradient = gradients[0][:, None]  # (targets, 1)
        d_states = (linear(shares, columns.t()).to(states.dtype) - weight[targets]) * gradient
        # One more column sums the shares for the biases.
        scaled = torch.cat([states * gradient, gradient], 1)  # (targets, width + 1)
        d_rows = linear(shares.t(), scaled.t().to(shares.dtype)).to(states.dtype)  # (vocab, width + 1)
        d_rows.index_add_(0, targets, scaled, alpha=-1)
        return d_states, d_rows[:, :-1], d_rows[:, -1], None, None, None
