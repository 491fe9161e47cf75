"""Held-out loss and perplexity of a GLoMo model, the same windows, positions and targets at every evaluation.

Source: Yang et al. 2018, section 3.1. The published perplexity moved from one evaluation to the next because positions
were drawn anew; here they come from a generator seeded per window batch, so two numbers differ only by the weights.
"""

import math
from typing import Any, Dict, Iterable, List, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.glomo import GlomoModel

Window = Tuple[Tensor, Tensor]


@torch.no_grad()
def held_out_loss(
    model: GlomoModel,
    windows: Iterable[Window],
    *,
    n_positions: Optional[int],
    seed: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Dict[str, Any]:
    """Full soft-max loss over windows of held-out text.

    model (GlomoModel): In evaluation mode.
    windows (Iterable[Tuple[Tensor, Tensor]]): Word ids and masks. Shapes: (batch, seq).
    n_positions (Optional[int]): Positions per direction and batch of windows, each with `dec_len` words after it in the
        longest window; None: every position with a word after it, which makes the result independent of `batch`.
    seed (int): Start of the position generator.
    device (torch.device): Where the model is.
    rank, world_size (int): Each process takes its share of batches; sums are added over all.
    RETURNS (Dict[str, Any]): `loss` (nats per target, mean over all targets of both directions), `perplexity`,
        `loss_left`, `loss_right`, `step_losses` (per word ahead, 1 to dec_len), `n_targets`.
    """
    dec_len = model.config.dec_len
    sums = torch.zeros(2, 2, dec_len, dtype=torch.float64, device=device)  # (direction, sum or count, step)
    for index, (ids, mask) in enumerate(windows):
        if index % world_size != rank:
            continue
        if n_positions is None:
            # Room behind the longest window: every position with a word after it counts, whatever the batch mates.
            ids, mask = F.pad(ids, (0, dec_len - 1)), F.pad(mask, (0, dec_len - 1))
        if ids.shape[1] <= dec_len:
            continue
        positions = draw_positions(ids.shape[1] - dec_len, n_positions, seed=seed + index)
        moved = positions[0].to(device), positions[1].to(device)
        losses = model.step_losses(ids.to(device), mask.to(device), positions=moved)
        sums += torch.stack([torch.stack(pair) for pair in losses])
    if world_size > 1:
        torch.distributed.all_reduce(sums)
    return _summary(sums.cpu())


def draw_positions(limit: int, n_positions: Optional[int], *, seed: int) -> Tuple[Tensor, Tensor]:
    """Positions for both directions, each in [0, limit), without replacement; all of them if there are no more.

    limit (int): Window length less dec_len.
    n_positions (Optional[int]): How many; None: all.
    seed (int): Start of the generator.
    RETURNS (Tuple[Tensor, Tensor]): Left and right. Shapes: (positions,).
    """
    if n_positions is None or n_positions >= limit:
        return torch.arange(limit), torch.arange(limit)
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randperm(limit, generator=generator)[:n_positions].sort().values for _ in range(2))
    return left, right


def _summary(sums: Tensor) -> Dict[str, Any]:
    totals, counts = sums[:, 0], sums[:, 1]  # (direction, step)
    loss = _ratio(totals.sum(), counts.sum())
    steps: List[float] = [_ratio(totals[:, step].sum(), counts[:, step].sum()) for step in range(sums.shape[2])]
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),  # beyond it, exp overflows
        "loss_left": _ratio(totals[0].sum(), counts[0].sum()),
        "loss_right": _ratio(totals[1].sum(), counts[1].sum()),
        "step_losses": steps,
        "n_targets": int(counts.sum()),
    }


def _ratio(total: Tensor, count: Tensor) -> float:
    return float(total / count) if count else math.nan
