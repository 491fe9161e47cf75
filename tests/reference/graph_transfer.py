"""Slow, obvious graph transfer in numpy loops, from the equations: one sequence, no padding, evaluation mode.

Source: Yang et al. 2018, "Latent Graph Transfer". State names are those of `models.glomo.mixing.GraphTransfer`.
Symbols: D width, L layers, K heads, A mixes per direction, S length.
"""

from typing import Dict, List

import numpy as np

from .recurrent import gru

State = Dict[str, np.ndarray]


def graph_transfer(
    features: np.ndarray,
    graphs: np.ndarray,
    state: State,
    *,
    mixture: str,
    n_mixes: int,
    fusion: str,
    candidates: str = "plain",
) -> np.ndarray:
    """Fused rows.

    features (ndarray): Shape: (S, D).
    graphs (ndarray): Left layers, then right layers. Shape: (2 * L, K, receiver, source).
    RETURNS (ndarray): Shape: (S, output width).
    """
    mixed = mixed_graphs(features, graphs, state, mixture=mixture, n_mixes=n_mixes, candidates=candidates)
    rows = []
    for i, x in enumerate(features):
        received: List[np.ndarray] = []
        for direction in range(2):
            for mix in range(n_mixes):
                arriving = np.zeros_like(x)
                for j, source in enumerate(features):
                    arriving += mixed[direction, mix, i, j] * source
                received.append(state["scales"][direction, mix] * arriving)
        rows.append(fuse(x, received, state, fusion))
    return np.stack(rows)


def uniform_transfer(features: np.ndarray, state: State, fusion: str) -> np.ndarray:
    """The control: everyone receives the mean. Shapes: (S, D), (S, output width)."""
    return np.stack([fuse(x, [features.mean(axis=0)], state, fusion) for x in features])


def mixed_graphs(
    features: np.ndarray, graphs: np.ndarray, state: State, *, mixture: str, n_mixes: int, candidates: str
) -> np.ndarray:
    """G[i, j] = sum over candidates m of w_m(i) C_m[i, j]. Shape: (2, mixes, receiver, source)."""
    n_layers, n_heads, length = graphs.shape[0] // 2, graphs.shape[1], graphs.shape[2]
    n_candidates = 2 * n_layers - 1 if candidates == "products" else n_layers
    mixed = np.zeros((2, n_mixes, length, length))
    for direction in range(2):
        layers = list(graphs[direction * n_layers : (direction + 1) * n_layers])
        matrices = _with_products(layers) if candidates == "products" else layers
        assert len(matrices) == n_candidates
        for i, x in enumerate(features):
            weights = _weights(x, state, mixture, (2, n_mixes, n_candidates, n_heads))[direction]
            for mix in range(n_mixes):
                for candidate in range(n_candidates):
                    for head in range(n_heads):
                        mixed[direction, mix, i] += weights[mix, candidate, head] * matrices[candidate][head, i]
    return mixed


def _with_products(layers: List[np.ndarray]) -> List[np.ndarray]:
    """G1, G2, G2 G1, G3, G3 (G2 G1), ...: head by head, each layer from the left onto the last product."""
    matrices, product = [layers[0]], layers[0]
    for layer in layers[1:]:
        product = np.stack([layer[head] @ product[head] for head in range(len(layer))])
        matrices += [layer, product]
    return matrices


def _weights(x: np.ndarray, state: State, mixture: str, shape: tuple) -> np.ndarray:
    if mixture == "uniform":
        logits = np.zeros(shape)
    elif mixture == "free":
        logits = state["mixture.logits"]
    else:
        logits = (state["mixture.logits.weight"] @ x + state["mixture.logits.bias"]).reshape(shape)
    odds = np.exp(logits - logits.max(axis=(2, 3), keepdims=True))
    return odds / odds.sum(axis=(2, 3), keepdims=True)


def fuse(x: np.ndarray, received: List[np.ndarray], state: State, fusion: str) -> np.ndarray:
    """One token's row with what it received. Shapes: (D,), n times (D,)."""
    both = np.concatenate([x, *received])
    if fusion == "concatenate":
        return both
    if fusion == "gru":
        cell = {name.replace("fusion.cell", "network") + "_l0": values for name, values in state.items()}
        return np.concatenate([x, gru(cell, np.concatenate(received)[None], x)[0]])
    value = state["fusion.value.weight"] @ both + state["fusion.value.bias"]
    gate = 1 / (1 + np.exp(-(state["fusion.gate.weight"] @ both + state["fusion.gate.bias"])))
    return np.concatenate([x, value * gate])
