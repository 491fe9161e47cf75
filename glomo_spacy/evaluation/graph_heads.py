"""Is each head of a GLoMo model alive: how many of its rows are empty, how sparse is it, does it only look one back.

A head whose rows are all empty sends nothing and gets no gradient: it never comes back, and the loss does not show it.
"""

from typing import Any, Dict, List

import torch
from torch import Tensor

from ..models.glomo import GlomoModel
from ..models.masking import lengths_of

_ZERO = 1e-6  # an entry below is counted as no edge


@torch.no_grad()
def head_statistics(model: GlomoModel, ids: Tensor, mask: Tensor) -> Dict[str, Any]:
    """Measures of every learned head on a batch of text.

    model (GlomoModel): In evaluation mode.
    ids (Tensor): Word ids. Shape: (batch, seq).
    mask (Tensor): True for real tokens. Shape: (batch, seq).
    RETURNS (Dict[str, Any]): For each name a list by learned head, named in `heads` as "left 1.2" (layer from 1, head
        from 0, fixed windows counted): `empty` share of rows without an edge, `zero` share of possible entries without
        an edge, `neighbour` mean weight on the token next to the receiver. The first token of a direction has no past
        and is not counted.
    """
    n_layers, first = model.config.n_layers, len(model.config.fixed_windows)
    lengths = lengths_of(mask)
    positions = torch.arange(ids.shape[1], device=ids.device)
    statistics: Dict[str, List[Any]] = {"heads": [], "empty": [], "zero": [], "neighbour": []}
    for index, graph in enumerate(model.iter_graphs(ids, mask)):
        is_right = index >= n_layers
        n_sources = (lengths[:, None] - 1 - positions if is_right else positions.expand_as(ids)) * mask  # (batch, seq)
        rows = n_sources > 0
        n_rows, n_entries = rows.sum().clamp(min=1), n_sources.sum().clamp(min=1)
        learned = graph[:, first:]  # (batch, heads, receiver, source)
        empty = ((learned.sum(-1) < 0.5) & rows[:, None]).sum((0, 2)) / n_rows
        edges = (learned > _ZERO).sum((0, 2, 3)) / n_entries
        neighbour = learned.diagonal(offset=1 if is_right else -1, dim1=2, dim2=3).sum((0, 2)) / n_rows
        side, layer = ("right", index - n_layers) if is_right else ("left", index)
        statistics["heads"] += [f"{side} {layer + 1}.{first + head}" for head in range(learned.shape[1])]
        statistics["empty"] += empty.tolist()
        statistics["zero"] += (1 - edges).tolist()
        statistics["neighbour"] += neighbour.tolist()
    return statistics
