"""Slow, obvious question answering in numpy loops, from the equations: one question, no padding, evaluation mode.

Source: Yang et al. 2018, section 4.1, and Seo et al. 2017 for the attention. State names are those of
`models.qa.ReaderModel`. Symbols: S tokens of the context, T of the question.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np

from .graph_transfer import graph_transfer, uniform_transfer
from .recurrent import gru

Array = np.ndarray
State = Dict[str, Array]


@dataclass
class Text:
    """What is known of a text of n tokens.

    word_ids (n,); elmo (layers + 1, n, width); char_ids (n, max_chars); features (n, width);
    graphs (2 * layers, heads, n, n).
    """

    word_ids: Optional[Array] = None
    elmo: Optional[Array] = None
    char_ids: Optional[Array] = None
    features: Optional[Array] = None
    graphs: Optional[Array] = None


@dataclass
class ReaderOracle:
    """A reader of these weights. Options as in `ReaderConfig`."""

    state: State
    graph: str = "none"
    mixture: str = "conditioned"
    n_mixes: int = 2
    fusion: str = "gate-products"
    candidates: str = "products"
    attention: str = "softmax"
    output: str = "pointer"
    states_width: int = 0
    char_kernel: int = 5

    def logits(self, context: Text, question: Text) -> Tuple[Array, Array]:
        """Scores of starts and ends. Shapes: (S,), (S,)."""
        encoded, asked = self.encode(context), self.encode(question)
        rows = self._relu_linear("join_question", self.attend("attention", encoded, asked))
        own = self.read("self_encoder", rows)
        rows = rows + self._relu_linear("join_self", self.attend("self_attention", own, own))
        if self.output == "recurrent":
            return self._recurrent_logits(rows)
        return self._pointer_logits(rows, asked)

    def encode(self, text: Text) -> Array:
        """Words, graphs, characters and the encoder. Shape: (n, encoding width)."""
        rows = self.words(text)
        if self.graph == "uniform":
            rows = uniform_transfer(rows, self._part("transfer"), self.fusion)
        elif self.graph == "inputs":
            rows = self._transfer(rows, text, "transfer", self.fusion)
        if text.char_ids is not None:
            rows = np.concatenate([rows, self.characters(text.char_ids)], axis=1)
        states = self.read("encoder", rows)
        return self._transfer(states, text, "trnn.transfer", "gate") if self.graph == "states" else states

    def words(self, text: Text) -> Array:
        """Static vectors, mixed layers of the biLM, given features."""
        parts: List[Array] = []
        if text.word_ids is not None:
            parts.append(self.state["words.weight"][text.word_ids])
        if text.elmo is not None:
            shares = _softmax(self.state["elmo_mix.weights"][0])
            mixed = sum(share * layer for share, layer in zip(shares, text.elmo))
            parts.append(self.state["elmo_mix.gamma"][0] * mixed)
        if text.features is not None:
            parts.append(text.features)
        return np.concatenate(parts, axis=1)

    def characters(self, char_ids: Array) -> Array:
        """The greatest response of each channel at any place of the word."""
        table, kernels = self.state["characters.table.weight"], self.state["characters.convolution.weight"]
        rows = []
        for word in char_ids:
            vectors = table[word]  # (max_chars, char_width)
            places = range(len(vectors) - self.char_kernel + 1)
            seen = np.stack([vectors[place : place + self.char_kernel].reshape(-1) for place in places])
            rows.append((seen @ kernels.T + self.state["characters.convolution.bias"]).max(axis=0))
        return np.stack(rows)

    def read(self, name: str, rows: Array) -> Array:
        """A bidirectional GRU from its learned first states."""
        parts = []
        for direction, suffix in enumerate(("", "_reverse")):
            prefix = f"{name}.gru."
            names = {f"network.{kind}_l0": f"{prefix}{kind}_l0{suffix}" for kind in _GRU_PARAMETERS}
            network = {ours: self.state[theirs] for ours, theirs in names.items()}
            order = slice(None, None, -1 if direction else 1)
            states = gru(network, rows[order], self.state[f"{name}.first_state"][direction])
            parts.append(states[order])
        return np.concatenate(parts, axis=1)

    def attend(self, name: str, x: Array, y: Array) -> Array:
        """[x; o1; x * o1; o2 * o1] for each row of x."""
        part = self._part(name)
        u, v, t = part["own.weight"][0], part["other.weight"][0], part["products"]
        scores = np.array([[u @ x_i + v @ y_j + (x_i * t) @ y_j for y_j in y] for x_i in x])  # (S, T)
        found = np.stack([self._shares(row) @ y for row in scores])  # o1
        summary = self._shares(scores.max(axis=1)) @ x  # o2
        return np.stack([np.concatenate([x_i, o, x_i * o, summary * o]) for x_i, o in zip(x, found)])

    def _shares(self, scores: Array) -> Array:
        if self.attention == "softmax":
            return _softmax(scores)
        return scores**2 / ((scores**2).sum() + 1e-16)

    def _transfer(self, rows: Array, text: Text, name: str, fusion: str) -> Array:
        options = {"mixture": self.mixture, "n_mixes": self.n_mixes, "candidates": self.candidates}
        return graph_transfer(rows, text.graphs, self._part(name), fusion=fusion, **options)

    def _pointer_logits(self, rows: Array, asked: Array) -> Tuple[Array, Array]:
        encoded = self.read("output.encoder", rows)
        question = asked[:, -self.states_width :]
        hidden = np.tanh(
            question @ self.state["output.summary.hidden.weight"].T + self.state["output.summary.hidden.bias"]
        )
        state = _softmax((hidden @ self.state["output.summary.score.weight"].T)[:, 0]) @ question
        start = self._point(encoded, state)
        cell = {f"network.{kind}_l0": self.state[f"output.step.{kind}"] for kind in _GRU_PARAMETERS}
        state = gru(cell, (_softmax(start) @ encoded)[None], state)[0]
        return start, self._point(encoded, state)

    def _point(self, encoded: Array, state: Array) -> Array:
        part = self._part("output")
        total = encoded @ part["from_row.weight"].T + part["from_row.bias"] + part["from_state.weight"] @ state
        return np.tanh(total) @ part["score.weight"][0]

    def _recurrent_logits(self, rows: Array) -> Tuple[Array, Array]:
        starts = self.read("output.start_encoder", rows)
        ends = self.read("output.end_encoder", np.concatenate([rows, starts], axis=1))
        start, end = (
            states @ self.state[f"output.{side}_score.weight"][0] + self.state[f"output.{side}_score.bias"][0]
            for side, states in (("start", starts), ("end", ends))
        )
        return start, end

    def _relu_linear(self, name: str, rows: Array) -> Array:
        return np.maximum(rows @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"], 0)

    def _part(self, name: str) -> State:
        """The weights below a name, without it."""
        return {key.removeprefix(f"{name}."): value for key, value in self.state.items() if key.startswith(f"{name}.")}


_GRU_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def best_span(start: Array, end: Array, max_answer: int) -> Tuple[int, int]:
    """The first of the pairs with the greatest sum, by trying all."""
    pairs = [(i, j) for i in range(len(start)) for j in range(i, min(i + max_answer, len(end)))]
    return max(pairs, key=lambda pair: (start[pair[0]] + end[pair[1]], -pair[0], -pair[1]))


def _softmax(scores: Array) -> Array:
    odds = np.exp(scores - scores.max())
    return odds / odds.sum()
