"""Slow, obvious graph transfer in numpy loops, from the equations: one sequence, no padding, evaluation mode.

Source: Yang et al. 2018, "Latent Graph Transfer". State names are those of `models.glomo.mixing.GraphTransfer`.
Symbols: D width, L layers, K heads, A mixes per direction, S length.
"""

from typing import Dict, List

import numpy as np

State = Dict[str, np.ndarray]


def graph_transfer(
    features: np.ndarray, graphs: np.ndarray, state: State, *, mixture: str, n_mixes: int, fusion: str
) -> np.ndarray:
    """Fused rows.

    features (ndarray): Shape: (S, D).
    graphs (ndarray): Left layers, then right layers. Shape: (2 * L, K, receiver, source).
    RETURNS (ndarray): Shape: (S, output width).
    """
    n_layers, n_heads = graphs.shape[0] // 2, graphs.shape[1]
    rows = []
    for i, x in enumerate(features):
        received: List[np.ndarray] = []
        for direction in range(2):
            for mix in range(n_mixes):
                weights = _weights(x, state, mixture, (2, n_mixes, n_layers, n_heads))[direction, mix]
                arriving = np.zeros_like(x)
                for layer in range(n_layers):
                    for head in range(n_heads):
                        graph = graphs[direction * n_layers + layer, head]
                        for j, source in enumerate(features):
                            arriving += weights[layer, head] * graph[i, j] * source
                received.append(state["scales"][direction, mix] * arriving)
        rows.append(_fuse(x, received, state, fusion))
    return np.stack(rows)


def _weights(x: np.ndarray, state: State, mixture: str, shape: tuple) -> np.ndarray:
    if mixture == "uniform":
        logits = np.zeros(shape)
    elif mixture == "free":
        logits = state["mixture.logits"]
    else:
        logits = (state["mixture.logits.weight"] @ x + state["mixture.logits.bias"]).reshape(shape)
    odds = np.exp(logits - logits.max(axis=(2, 3), keepdims=True))
    return odds / odds.sum(axis=(2, 3), keepdims=True)


def _fuse(x: np.ndarray, received: List[np.ndarray], state: State, fusion: str) -> np.ndarray:
    both = np.concatenate([x, *received])
    if fusion == "concatenate":
        return both
    value = state["fusion.value.weight"] @ both + state["fusion.value.bias"]
    gate = 1 / (1 + np.exp(-(state["fusion.gate.weight"] @ both + state["fusion.gate.bias"])))
    return np.concatenate([x, value * gate])
