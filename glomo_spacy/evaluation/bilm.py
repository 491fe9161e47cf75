"""Held-out perplexity of a biLM, exact: full soft-max, float32, every word scored once in each direction.

Source: bilm-tf's evaluation (Peters et al. 2018), where state is carried from window to window too. Differs from it:
the mean is over words, not over batches, and the incomplete last batch counts.
"""

import math
from typing import Any, Dict, Iterable, Tuple

import torch
from torch import Tensor

from ..models.elmo import BiLM
from ..models.elmo.losses import window_losses
from ..models.elmo.windows import WindowMaker

EvalBatch = Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@torch.no_grad()
def held_out_perplexity(
    model: BiLM,
    batches: Iterable[EvalBatch],
    maker: WindowMaker,
    *,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Dict[str, Any]:
    """Mean cross-entropy of held-out text.

    model (BiLM): In evaluation mode, with its soft-max.
    batches (Iterable[EvalBatch]): As `EvalStreams` yields them: forward inputs and targets, backward inputs and
        targets, mask. Shape: (batch, seq).
    maker (WindowMaker): Spells their types.
    device (torch.device): Where the model is.
    rank, world_size (int): Each process takes its share of the rows; sums are added over all.
    RETURNS (Dict[str, Any]): `loss` in nats per word, mean of the directions, and `perplexity`, its exponential;
        `loss_forward`, `perplexity_forward`, `loss_backward`, `perplexity_backward`, the latter two None in a
        forward-only model; `n_targets` per direction, `n_tokens`, those that are not the end of a sentence, `n_unknown`
        and `unknown_rate`, how many and which share of the tokens count as `<UNK>`.
    """
    n_directions = 2 if model.config.directions == "both" else 1
    sums = torch.zeros(n_directions + 3, dtype=torch.float64)  # losses of each direction, targets, ends, unknown words
    state = None
    for *ids, mask in batches:
        own = [part[rank::world_size] for part in (*ids, mask)]
        windows = maker.windows(own[0 : 2 * n_directions : 2], own[1 : 2 * n_directions : 2])
        losses, state = window_losses(model, windows.to(device), state=state, mask=own[-1].to(device))
        real = own[-1]
        words = windows.targets[0][real]
        counts = [len(words), int((words == maker.end_id).sum()), int((words == maker.unknown_id).sum())]
        sums += torch.tensor([float(loss.cpu()[real].double().sum()) for loss in losses] + counts, dtype=torch.float64)
    if world_size > 1:
        sums = sums.to(device)
        torch.distributed.all_reduce(sums)
    return _summary(sums.tolist())


def _summary(sums: list[float]) -> Dict[str, Any]:
    *totals, n_targets, n_ends, n_unknown = sums
    losses = [total / n_targets if n_targets else math.nan for total in totals]
    mean = sum(losses) / len(losses)
    return {
        "loss": mean,
        "perplexity": _perplexity(mean),
        "loss_forward": losses[0],
        "perplexity_forward": _perplexity(losses[0]),
        "loss_backward": losses[1] if len(losses) > 1 else None,
        "perplexity_backward": _perplexity(losses[1]) if len(losses) > 1 else None,
        "n_targets": int(n_targets),
        "n_tokens": int(n_targets - n_ends),
        "n_unknown": int(n_unknown),
        "unknown_rate": n_unknown / (n_targets - n_ends) if n_targets > n_ends else 0.0,
    }


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 700.0))  # beyond it, exp overflows
