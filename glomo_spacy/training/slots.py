"""The memory of an optimiser, carried over to a model with another vocabulary."""

from pathlib import Path
from typing import Collection, Dict, Mapping, Optional

import torch
from torch import Tensor, nn

from .resume import (
    list_states,
    load_optimizer_tensors,
    load_state,
    optimizer_tensors,
    parameter_names,
    without_prefix,
)
from .row_match import RowMatch

_SQUARES = "exp_avg_sq"  # Adam's mean of squared gradients


def remap_slots(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    checkpoint: Path,
    *,
    copied: Collection[str],
    matches: Mapping[str, RowMatch],
) -> str:
    """Take over what another run's optimiser knows of weights that were copied from it.

    It is that of the run's newest training state, which may be some steps later than the checkpoint. New rows begin as
    this optimiser begins all rows; Adam, which begins with nothing and would take its longest steps there, with the
    mean of the rows that were copied.

    optimizer (Optimizer): Of the model, before its first step; changed in place.
    model (nn.Module): The model.
    checkpoint (Path): `model-best` or `model-last` of a run; the training states stand beside it.
    copied (Collection[str]): Weights that were copied whole.
    matches (Mapping[str, RowMatch]): Tables that were copied by rows.
    RETURNS (str): What was done, or why not.
    RAISES: ValueError G301 if the training state cannot be read.
    """
    folders = list_states(checkpoint.parent)
    if not folders:
        return "new, since no training state stands beside the checkpoint"
    tensors, values = load_state(folders[-1])
    if values.get("optimizer") != type(optimizer).__name__:
        return f"new, since the training state is of another optimiser ({values.get('optimizer', 'not named')})"
    found: Dict[str, Dict[str, Tensor]] = {}
    for key, value in without_prefix("optimizer", tensors).items():
        index, _, slot = key.partition("/")
        found.setdefault(values["parameters"][int(index)], {})[slot] = value
    slots = optimizer_tensors(optimizer)
    names = parameter_names(optimizer, model)
    taken = [name for name in names if name in found and (name in copied or name in matches)]
    for name in taken:
        for slot, value in found[name].items():
            key = f"{names.index(name)}/{slot}"
            is_table = name in matches and value.dim() > 0
            slots[key] = _carry_rows(slot, value, matches[name], fresh=slots.get(key)) if is_table else value
    load_optimizer_tensors(optimizer, slots)
    by_row = sum(name in matches for name in taken)
    return f"taken over for {len(taken)} weights, {by_row} of them by row; new for {len(names) - len(taken)}"


def _carry_rows(slot: str, value: Tensor, match: RowMatch, *, fresh: Optional[Tensor]) -> Tensor:
    """A slot's rows in their new places. Shape: (rows here, ...)."""
    carried = value.new_zeros(match.n_here, *value.shape[1:]) if fresh is None else fresh.detach().cpu().clone()
    if slot == _SQUARES and len(match.there):
        carried[match.is_new] = value[match.there].mean(0)
    carried[match.here] = value[match.there]
    return carried
