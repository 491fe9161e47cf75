"""Relational graphs inside a pipeline: all graphs for models that train on them, pruned ones for a Doc.

Source: Yang et al. 2018 (arXiv 1806.05662). The weights are frozen: graphs carry no gradient and no update, no
`initialize` and no averaging of parameters changes them.
"""

from functools import partial
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model, torch2xp
from torch import Tensor

from ..errors import Errors
from ..graphs import RelationalGraph, Rows, prune_rows
from ..models.glomo import GlomoConfig, GlomoModel
from .feature_cache import cache_in
from .pretrained import FrozenNetwork, PretrainedShim, read_pretrained
from .seam import (
    MAX_CELLS,
    MAX_TOKENS,
    Window,
    doc_windows,
    expand_graphs,
    length_batches,
    pad_ids,
    pad_windows,
    window_ids,
)
from .types import GraphModel, WindowGraphs


@registry.architectures("glomo_spacy.GlomoGraph.v1")
def build_glomo_graph_v1(*, pretrained: Optional[str]) -> GraphModel:
    """Every graph of every window, frozen: what `GraphTransfer` and other models mix.

    A Doc of up to 400 tokens is one window, so that its output covers the whole Doc. A longer Doc gives one output per
    window of `seam.doc_windows`, which says where each belongs: memory must not grow with length squared. Graphs are
    neither pruned nor renormalised: a row sums to 1, or to 0 if the token attends to nothing or is whitespace.

    pretrained (Optional[str]): A packaged name such as "glomo_en_sm", a checkpoint directory, or None for weights that
        will be loaded. Read now; if that fails, the reason is raised at first use unless stored weights came first.
    RETURNS (Model[List[Doc], List[Floats3d]]): Per window (graphs, receiver, source): left layers bottom to top, then
        right layers; within a layer its heads. Both axes count the window's spaCy tokens.
    RAISES: ValueError G120 at first use if there are no weights.
    """
    network = read_pretrained(pretrained, partial(FrozenNetwork, "glomo"))
    return Model("glomo_graph", _forward, shims=[PretrainedShim(network)])


def glomo_config(model: GraphModel) -> GlomoConfig:
    """Sizes of the network in a `GlomoGraph.v1` model: `n_layers`, `n_heads` and `n_graphs` say what its output holds.

    RAISES: ValueError G120 if it has no weights yet, G123 for another kind of model.
    """
    config: GlomoConfig = _frozen(model).network.config
    return config


def graph_layers(
    model: GraphModel, docs: Sequence[Doc], windows: Sequence[Window], *, is_train: bool = False
) -> Iterator[Tuple[List[int], Iterator[Tensor]]]:
    """Every graph of every window, in batches of similar length and one layer at a time: memory is one layer's.

    Where `Cached.v1` keeps graphs, those of a batch are there at once, and batches are smaller.

    model (GraphModel): Of `GlomoGraph.v1`.
    windows (Sequence[Window]): Of `seam.doc_windows`; empty ones are in no batch.
    is_train (bool): Whether this is part of a pass with gradients.
    YIELDS (Tuple[List[int], Iterator[Tensor]]): Indices into `windows`, and their left layers, then right layers, each
        computed when it is drawn, without gradient. Shape of each: (batch, heads, receiver, source).
    RAISES: ValueError G120 if the model has no weights, G123 for another kind of model.
    """
    frozen, cache = _frozen(model), cache_in(model, is_train=is_train)
    compute = frozen.network.iter_graphs
    n_layers_held = 1 if cache is None else 2 * glomo_config(model).n_layers
    for batch, ids, mask in _batches(model, docs, windows, n_layers_held=n_layers_held):
        yield batch, compute(ids, mask) if cache is None else cache.graph_layers(frozen, ids, mask, compute)


def padded_graphs(model: GraphModel, texts: Sequence[Sequence[str]]) -> List[Tensor]:
    """Every graph of a few texts, side by side.

    model (GraphModel): Of `GlomoGraph.v1`.
    texts (Sequence[Sequence[str]]): The tokens of each, at least one.
    RETURNS (List[Tensor]): Left layers bottom to top, then right layers, without gradient; rows and columns of padding
        are 0. Shape of each: (batch, heads, receiver, source).
    RAISES: ValueError G120 if the model has no weights, G123 for another kind of model.
    """
    frozen = _frozen(model)
    ids, mask = pad_ids([frozen.indexer.ids(words) for words in texts])  # (batch, seq)
    with torch.no_grad():
        return list(frozen.network.iter_graphs(ids.to(frozen.device), mask.to(frozen.device)))


def relational_graphs(
    model: GraphModel,
    docs: Sequence[Doc],
    *,
    top_k: Optional[int],
    min_weight: float,
    keep_all: bool = False,
    max_tokens: int = MAX_TOKENS,
) -> List[RelationalGraph]:
    """The mixed graph of each Doc, pruned window by window: memory grows linearly with length.

    model (GraphModel): Of `GlomoGraph.v1`.
    docs (Sequence[Doc]): Any lengths.
    top_k (Optional[int]): Sources kept per token. None: all above `min_weight`.
    min_weight (float): Weights kept are above this.
    keep_all (bool): Keep each direction, layer and head beside the mixed graph.
    max_tokens (int): Padded tokens computed at once.
    RETURNS (List[RelationalGraph]): One per Doc; whitespace tokens have no edges.
    RAISES: ValueError G120 if the model has no weights, G123 for another kind of model.
    """
    config = glomo_config(model)
    windows = doc_windows(docs)
    n_graphs = 1 + config.n_graphs if keep_all else 1
    pruned = {index: [_NO_ROWS] * n_graphs for index, window in enumerate(windows) if not len(window)}
    n_layers_held = 2 * config.n_layers if keep_all else 1
    for batch, ids, mask in _batches(model, docs, windows, n_layers_held=n_layers_held, max_tokens=max_tokens):
        graphs = _run(model, GlomoModel.mixed_graph, ids, mask)[:, None]  # (batch, 1, seq, seq)
        if keep_all:
            every = _run(model, GlomoModel.graphs, ids, mask).flatten(1, 2)  # (batch, graphs, seq, seq)
            graphs = torch.cat([graphs, every], dim=1)
        rows = _prune_windows(graphs, [windows[index] for index in batch], top_k=top_k, min_weight=min_weight)
        pruned.update(zip(batch, rows))
    by_doc: List[List[Tuple[Window, List[Rows]]]] = [[] for _ in docs]
    for index, window in enumerate(windows):
        by_doc[window.doc].append((window, pruned[index]))
    kept = (config.n_layers, config.n_heads) if keep_all else (0, 0)
    return [_join_windows(parts, n_tokens=len(doc), kept=kept) for doc, parts in zip(docs, by_doc)]


def _forward(model: GraphModel, docs: List[Doc], is_train: bool) -> Tuple[WindowGraphs, Callable]:
    def backprop(d_graphs: WindowGraphs) -> List[Doc]:
        return []  # frozen, and a Doc takes no gradient

    config = glomo_config(model)
    windows = doc_windows(docs)
    sizes = [window.end - window.start for window in windows]
    graphs: WindowGraphs = [model.ops.alloc3f(config.n_graphs, size, size) for size in sizes]
    for batch, ids, mask in _batches(model, docs, windows, n_layers_held=2 * config.n_layers):
        padded: Any = torch2xp(_run(model, GlomoModel.graphs, ids, mask).flatten(1, 2))  # (batch, graphs, seq, seq)
        for place, index in enumerate(batch):
            n_seen = len(windows[index])
            graphs[index] = expand_graphs(padded[place, :, :n_seen, :n_seen], windows[index])
    return graphs, backprop


def _batches(
    model: GraphModel,
    docs: Sequence[Doc],
    windows: Sequence[Window],
    *,
    n_layers_held: int,
    max_tokens: int = MAX_TOKENS,
) -> Iterator[Tuple[List[int], Tensor, Tensor]]:
    """Windows of similar length: their indices, padded ids and mask (batch, seq), on the network's device."""
    frozen = _frozen(model)
    ids = window_ids(docs, windows, frozen.indexer)
    lengths = [len(window) for window in windows]
    for batch in length_batches(lengths, max_tokens=max_tokens, max_cells=MAX_CELLS // n_layers_held):
        padded, mask = pad_ids([ids[index] for index in batch])
        yield batch, padded.to(frozen.device), mask.to(frozen.device)


def _run(model: GraphModel, method: Callable[..., Tensor], ids: Tensor, mask: Tensor) -> Tensor:
    with torch.inference_mode():
        return method(_frozen(model).network, ids, mask)


def _frozen(model: GraphModel) -> FrozenNetwork:
    shim = model.shims[0] if model.shims else None
    network = shim.network if isinstance(shim, PretrainedShim) else None
    if not isinstance(network, FrozenNetwork) or network.kind != "glomo":
        raise ValueError(Errors.G123.format(found=model.name))
    return network


def _prune_windows(
    graphs: Tensor, windows: Sequence[Window], *, top_k: Optional[int], min_weight: float
) -> List[List[Rows]]:
    """Prune the rows that count in each window, all windows of a batch at once.

    graphs (Tensor): Shape: (batch, graphs, seq, seq).
    RETURNS (List[List[Rows]]): Per window and graph; sources are positions in the Doc.
    """
    dense = graphs.cpu().numpy()
    positions, is_kept = (places.numpy() for places in pad_windows(windows))  # (batch, seq)
    window_of_row = np.nonzero(is_kept)[0]  # (rows,)
    row_bounds = np.searchsorted(window_of_row, np.arange(len(windows) + 1))
    pruned: List[List[Rows]] = [[] for _ in windows]
    for graph in range(dense.shape[1]):
        counts, columns, weights = prune_rows(dense[:, graph][is_kept], top_k=top_k, min_weight=min_weight)
        sources = positions[np.repeat(window_of_row, counts), columns]
        edge_bounds = np.concatenate([[0], np.cumsum(counts)])[row_bounds]
        for place, rows in enumerate(pruned):
            edges = slice(*edge_bounds[place : place + 2])
            rows.append(Rows(counts[slice(*row_bounds[place : place + 2])], sources[edges], weights[edges]))
    return pruned


def _join_windows(
    parts: Sequence[Tuple[Window, List[Rows]]], *, n_tokens: int, kept: Tuple[int, int]
) -> RelationalGraph:
    """Put the rows of a Doc's windows under each other, with empty rows for whitespace."""
    receivers = np.concatenate([window.tokens[window.counting] for window, _ in parts])
    graphs = []
    for of_graph in zip(*(rows for _, rows in parts)):
        counts = np.zeros(n_tokens, dtype=np.int64)
        counts[receivers] = np.concatenate([rows.counts for rows in of_graph])
        sources = np.concatenate([rows.sources for rows in of_graph])
        graphs.append(Rows(counts, sources, np.concatenate([rows.weights for rows in of_graph])))
    return RelationalGraph.from_rows(graphs, n_tokens=n_tokens, n_layers=kept[0], n_heads=kept[1])


_NO_ROWS = Rows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
