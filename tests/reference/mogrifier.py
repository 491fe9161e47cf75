"""Slow, obvious Mogrifier language model in numpy, from the equations: one word, one step at a time, in float64.

Source: Melis et al. 2020 (arXiv 1909.01792), section 2; the gates, sums of layers and output layers of deepmind/lamb;
Ba et al. 2016 for layer normalisation; Yang et al. 2018 for mixtures. Weights carry our names.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

Weights = Dict[str, np.ndarray]
# For each layer: last output h and cell c.
State = List[Tuple[np.ndarray, np.ndarray]]


class MogrifierOracle:
    """A Mogrifier or LSTM language model.

    weights (Weights): By our names.
    config (Dict[str, Any]): Fields of `MogrifierConfig`.
    """

    def __init__(self, weights: Weights, config: Dict[str, Any]) -> None:
        self.weights = {name: np.asarray(array, dtype=np.float64) for name, array in weights.items()}
        self.config = config

    def zero_state(self) -> State:
        width = self.config["proj_width"] or self.config["hidden_width"]
        return [(np.zeros(width), np.zeros(self.config["hidden_width"])) for _ in range(self.config["n_layers"])]

    def read(self, ids: Sequence[int], state: Optional[State] = None) -> Tuple[np.ndarray, State]:
        """Outputs after each word, (words, width), and the state after the last."""
        state = self.zero_state() if state is None else list(state)
        rows = []
        for word in ids:
            x = self.weights["embedding.weight"][word]
            shown = []
            for layer in range(self.config["n_layers"]):
                state[layer] = self.step(layer, x, *state[layer])
                x = state[layer][0]
                shown.append(x)
            rows.append(np.sum(shown, axis=0) if self.config["outputs"] == "sum" else x)
        return np.stack(rows), state

    def step(self, layer: int, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """One step of one layer."""
        config, weights = self.config, Layer(self.weights, layer)
        for number in range(1, (config["rounds"] if config["cell"] == "mogrifier" else 0) + 1):
            name, index = ("q", number // 2) if number % 2 else ("r", number // 2 - 1)
            bias = weights[f"{name}_biases.{index}"] if config["gate_bias"] else 0
            if number % 2:
                x = 2 * sigmoid(weights.matrix(f"q_weights.{index}") @ h + bias) * x
            else:
                h = 2 * sigmoid(weights.matrix(f"r_weights.{index}") @ x + bias) * h
        from_input, from_hidden = weights["input_weight"] @ x, weights["hidden_weight"] @ h
        if config["layer_norm"]:
            from_input = weights["input_norm"] * normalise(from_input)
            from_hidden = weights["hidden_norm"] * normalise(from_hidden)
        gates = from_input + from_hidden + weights["bias"]
        if config["input_gate"] == "tied":
            j, f, o = np.split(gates, 3)
            f = sigmoid(f + config["forget_bias"])
            i = 1 - f
        else:
            i, j, f, o = np.split(gates, 4)
            f, i = sigmoid(f + config["forget_bias"]), sigmoid(i)
            i = np.minimum(1 - f, i) if config["input_gate"] == "capped" else i
        c = f * c + i * np.tanh(j)
        if config["cell_clip"] is not None:
            c = np.clip(c, -config["cell_clip"], config["cell_clip"])
        shown = weights["cell_norm"] * normalise(c) + weights["cell_norm_bias"] if config["layer_norm"] else c
        h = sigmoid(o) * np.tanh(shown)
        return (h if config["proj_width"] is None else weights["projection"] @ h), c

    def probabilities(self, output: np.ndarray, temperature: float = 1.0) -> np.ndarray:
        """Of the word after an output. Shape: (vocab,)."""
        weights, config = self.weights, self.config
        table = weights["embedding.weight"] if config["tied"] else weights["output.weight"]
        if config["n_softmaxes"] > 1:
            parts = np.tanh(weights["output.projection.weight"] @ output + weights["output.projection.bias"])
            shares = softmax(weights["output.mixture.weight"] @ output)
            vectors = np.split(parts, config["n_softmaxes"])
        else:
            projection = weights.get("output.projection.weight")
            shares, vectors = np.ones(1), [output if projection is None else projection @ output]
        total = np.zeros(len(table))
        for share, vector in zip(shares, vectors):
            logits = (table @ vector + weights["output.bias"]) / temperature
            total[1:] += share * softmax(logits[1:])  # never `<S>`
        return total

    def score(self, ids: Sequence[int], *, end: int = 1) -> np.ndarray:
        """log2-probabilities of a text and its end, after one end of sentence. Shape: (words + 1,)."""
        outputs, _ = self.read([end, *ids])
        return np.log2([self.probabilities(output)[word] for output, word in zip(outputs, [*ids, end])])


class Layer:
    """The weights of one layer."""

    def __init__(self, weights: Weights, number: int) -> None:
        self.weights, self.prefix = weights, f"body.layers.{number}."

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[self.prefix + name]

    def matrix(self, name: str) -> np.ndarray:
        """Of a gate, full or the product of two."""
        if self.prefix + name in self.weights:
            return self[name]
        return self[f"{name}.left"] @ self[f"{name}.right"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def normalise(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)
