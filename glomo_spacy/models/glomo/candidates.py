"""Candidate graphs: those of all layers and, if wanted, their products; mixed, or followed without being written out.

Source: Yang et al. 2018, "Latent Graph Transfer", and the reader of kimiyoung/glomo (`squad/model_t.py`). With products
there are 2 L - 1 candidates per head and direction, in this order, for L = 3: G1, G2, G2 G1, G3, G3 (G2 G1). A product
G2 G1 lets a token receive what its related tokens received: two steps along the graphs.
"""

from functools import reduce
from itertools import islice
from typing import Any, Iterable, Iterator, List, Optional, Tuple

import torch
from torch import Tensor

from ...errors import Errors

N_DIRECTIONS = 2  # left graphs (forward predictor) and right graphs (backward predictor)


def candidate_names(n_layers: int, *, with_products: bool = False) -> List[str]:
    """What stands at each place of the candidate axis, as a product of layers: "G1", "G2", "G2 G1", ..."""
    names = ["G1"]
    chain = "G1"
    for layer in range(2, n_layers + 1):
        chain = f"G{layer} {chain}"
        names += [f"G{layer}", chain] if with_products else [f"G{layer}"]
    return names


def mix_graphs(layers: Iterable[Tensor], weights: Tensor, *, with_products: bool = False) -> Tensor:
    """Mixed graph of each direction: G[i, j] = sum over m of w_m(i) C_m[i, j], over all candidates and heads.

    layers (Iterable[Tensor]): Left layers, then right layers, drawn one at a time.
        Shape of each: (batch, heads, receiver, source).
    weights (Tensor): Sum to 1 over candidates and heads. Shape: (batch, receiver, directions, mixes, candidates,
        heads), or (directions, mixes, candidates, heads) if all positions share them.
    with_products (bool): The candidates include products across layers.
    RETURNS (Tensor): Shape: (batch, receiver, directions, mixes, source).
    RAISES: ValueError G114 for another number of layers or heads than there are weights.
    """
    mixed = []
    for graphs, shares in _directions(layers, weights, with_products):
        candidates = _candidates(graphs, with_products)
        mixed.append(reduce(torch.add, map(_mix_heads, candidates, shares)))  # (batch, receiver, mixes, source)
    return torch.stack(mixed, dim=2)


def receive(features: Tensor, layers: Iterable[Tensor], weights: Tensor, *, with_products: bool = False) -> Tensor:
    """What arrives along the mixed graphs: G x, for every direction and mix.

    A product of graphs costs seq^3, following it seq^2 * width: for long texts and narrow features G3 (G2 (G1 x)) is
    cheaper than (G3 (G2 G1)) x and needs less memory. Weights belong to the receiver, so both give the same sum.

    features (Tensor): x. Shape: (batch, seq, width).
    layers, weights, with_products: As for `mix_graphs`.
    RETURNS (Tensor): Shape: (batch, receiver, directions, mixes, width).
    """
    _, seq, width = features.shape
    if with_products and is_following_cheaper(seq, width, _n_layers(weights, True), features.requires_grad):
        return _follow(features, layers, weights)
    return _along(mix_graphs(layers, weights, with_products=with_products), features)


def is_following_cheaper(seq: int, width: int, n_layers: int, needs_gradient: bool) -> bool:
    """Whether to follow products step by step, by the number of multiplications per head.

    needs_gradient (bool): The gradient of the features takes the same steps back; products, being constant, take none.
    """
    return n_layers * width * (2 if needs_gradient else 1) < (n_layers - 1) * seq


def _follow(features: Tensor, layers: Iterable[Tensor], weights: Tensor) -> Tensor:
    """`receive` with products, of which none is written out. Plain candidates are mixed: that is cheapest for them."""
    arriving = []
    for graphs, shares in _directions(layers, weights, with_products=True):
        share = iter(shares)
        plain = followed = features.new_zeros(())
        reached = features[:, None]  # (batch, heads, seq, width), after l layers G_l ... G_1 x of each head
        for layer, graph in enumerate(graphs):
            reached = graph @ reached
            plain = plain + _mix_heads(graph, next(share))  # (batch, receiver, mixes, source)
            if layer > 0:
                followed = followed + _mix_heads(reached, next(share))  # (batch, receiver, mixes, width)
        arriving.append(followed + _along(plain, features))
    return torch.stack(arriving, dim=2)


def _along(mixed: Tensor, features: Tensor) -> Tensor:
    """mixed (batch, receiver, ..., source) times features (batch, source, width): (batch, receiver, ..., width)."""
    return (mixed.flatten(1, -2) @ features).unflatten(1, mixed.shape[1:-1])


def _candidates(layers: Iterable[Tensor], with_products: bool) -> Iterator[Tensor]:
    """The candidates of one direction in their order, each (batch, heads, receiver, source)."""
    product: Optional[Tensor] = None
    for graph in layers:
        yield graph
        if with_products:
            is_first = product is None
            product = graph if product is None else graph @ product
            if not is_first:
                yield product


def _directions(
    layers: Iterable[Tensor], weights: Tensor, with_products: bool
) -> Iterator[Tuple[Iterator[Tensor], Tuple[Tensor, ...]]]:
    """Each direction's graphs and the weights of its candidates: (batch, receiver, mixes, heads), or (mixes, heads)."""
    n_layers = _n_layers(weights, with_products)
    graphs = _checked(layers, n_layers=N_DIRECTIONS * n_layers, n_heads=weights.shape[-1])
    for shares in weights.unbind(-4):
        yield islice(graphs, n_layers), shares.unbind(-2)
    next(graphs, None)  # that there are no more


def _n_layers(weights: Tensor, with_products: bool) -> int:
    n_candidates = weights.shape[-2]
    return (n_candidates + 1) // 2 if with_products else n_candidates


def _checked(layers: Iterable[Tensor], *, n_layers: int, n_heads: int) -> Iterator[Tensor]:
    """The layers one at a time; the wrong number of layers or heads would go unnoticed else."""
    expected = {"n_layers": n_layers, "n_heads": n_heads}
    layer = 0
    for layer, graph in enumerate(layers, start=1):
        if layer > n_layers or graph.shape[1] != n_heads:
            found = "one too many" if layer > n_layers else f"of {graph.shape[1]} heads"
            raise ValueError(Errors.G114.format(layer=layer, found=found, **expected))
        yield graph
    if layer < n_layers:
        raise ValueError(Errors.G114.format(layer=layer + 1, found="missing", **expected))


def _mix_heads(graph: Tensor, share: Tensor) -> Tensor:
    """Weighted sum over heads.

    graph (Tensor): A candidate's heads, or what they bring. Shape: (batch, heads, receiver, columns).
    share (Tensor): Shape: (batch, receiver, mixes, heads), or (mixes, heads).
    RETURNS (Tensor): Shape: (batch, receiver, mixes, columns).
    """
    if share.dim() == 2:
        return torch.einsum("bhij,mh->bimj", graph, share)
    if graph.device.type != "cpu" or graph.requires_grad:
        return torch.einsum("bhij,bimh->bimj", graph, share)
    mixed: Tensor = _MixedHeads.apply(graph, share.to(graph.dtype))  # under autocast they may differ
    return mixed


class _MixedHeads(torch.autograd.Function):
    """The sum with a weight per receiver, for constant graphs on a CPU.

    `einsum` copies the graphs, the largest arrays of a training step, into another order; products of one sequence at a
    time read them where they are, which is four times as fast.
    """

    @staticmethod
    def forward(ctx: Any, graph: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(graph)
        mixed = graph.new_empty(*share.shape[:3], graph.shape[-1])
        for heads, weights, result in zip(graph, share, mixed):
            torch.bmm(weights, heads.transpose(0, 1), out=result)  # (receiver, mixes, columns)
        return mixed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tuple[None, Tensor]:
        (graph,) = ctx.saved_tensors
        d_share = gradient.new_empty(*gradient.shape[:3], graph.shape[1])
        for heads, d_mixed, result in zip(graph, gradient, d_share):
            torch.bmm(d_mixed, heads.permute(1, 2, 0), out=result)  # (receiver, mixes, heads)
        return None, d_share
