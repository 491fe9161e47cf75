"""GRU, simple RNN and causal Transformer in numpy, place by place from their equations: slow and obvious.

Parameters have the names of our layers' state dicts.
"""

import math
from typing import List, Mapping, Optional

import numpy as np

Array = np.ndarray
Parameters = Mapping[str, Array]


def rnn(parameters: Parameters, inputs: Array, state: Array, *, activation: str, mask: Optional[Array] = None) -> Array:
    """One row: inputs (seq, n_in) and state (width,) to outputs (seq, width). Elman 1990."""
    outputs = []
    for x in inputs:
        seen = state if mask is None else state * mask
        total = _from(parameters, "ih", x) + _from(parameters, "hh", seen)
        state = np.maximum(total, 0) if activation == "relu" else np.tanh(total)
        outputs.append(state)
    return np.array(outputs)


def gru(parameters: Parameters, inputs: Array, state: Array, *, mask: Optional[Array] = None) -> Array:
    """One row: inputs (seq, n_in) and state (width,) to outputs (seq, width). Cho et al. 2014."""
    outputs = []
    for x in inputs:
        seen = state if mask is None else state * mask
        reset_x, update_x, new_x = np.split(_from(parameters, "ih", x), 3)
        reset_h, update_h, new_h = np.split(_from(parameters, "hh", seen), 3)
        reset, update = _sigmoid(reset_x + reset_h), _sigmoid(update_x + update_h)
        state = (1 - update) * np.tanh(new_x + reset * new_h) + update * state
        outputs.append(state)
    return np.array(outputs)


def transformer(parameters: Parameters, inputs: Array, *, n_heads: int, positions: str, outputs: str) -> Array:
    """One row: inputs (seq, n_in) to outputs (seq, width). Vaswani et al. 2017, normalised before each half."""
    values = inputs * math.sqrt(inputs.shape[1])
    if "projection.weight" in parameters:
        values = values @ parameters["projection.weight"].T + parameters["projection.bias"]
    if positions == "sine":
        values = values + np.array([_wave(place, values.shape[1]) for place in range(len(values))])
    found: List[Array] = []
    n_layers = len({name.split(".")[1] for name in parameters if name.startswith("layers.")})
    for number in range(n_layers):
        layer = {
            name.split(".", 2)[2]: part for name, part in parameters.items() if name.startswith(f"layers.{number}.")
        }
        values = values + _attention(layer, _norm(layer, "attention_norm", values), n_heads)
        inner = np.maximum(_linear(layer, "ffn_input", _norm(layer, "ffn_norm", values)), 0)
        values = values + _linear(layer, "ffn_output", inner)
        found.append(values)
    return _norm(parameters, "norm", sum(found) if outputs == "sum" else values)


def _attention(layer: Parameters, values: Array, n_heads: int) -> Array:
    seq, width = values.shape
    size = width // n_heads
    queries, keys, contents = np.split(_linear(layer, "attention_input", values), 3, axis=1)
    attended = np.zeros_like(values)
    for head in range(n_heads):
        part = slice(head * size, (head + 1) * size)
        for place in range(seq):
            affinity = keys[: place + 1, part] @ queries[place, part] / math.sqrt(size)
            shares = np.exp(affinity) / np.exp(affinity).sum()
            attended[place, part] = shares @ contents[: place + 1, part]
    return _linear(layer, "attention_output", attended)


def _wave(place: int, width: int) -> Array:
    angles = [place / 10_000 ** ((channel - channel % 2) / width) for channel in range(width)]
    return np.array([math.cos(angle) if channel % 2 else math.sin(angle) for channel, angle in enumerate(angles)])


def _norm(parameters: Parameters, name: str, values: Array) -> Array:
    centred = values - values.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return scaled * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]


def _linear(parameters: Parameters, name: str, values: Array) -> Array:
    return values @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]


def _from(parameters: Parameters, source: str, values: Array) -> Array:
    return parameters[f"network.weight_{source}_l0"] @ values + parameters[f"network.bias_{source}_l0"]


def _sigmoid(values: Array) -> Array:
    return 1 / (1 + np.exp(-values))
