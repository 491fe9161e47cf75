"""Slow, obvious ELMo in numpy, from the equations: one word, one step at a time, no padding of sentences, float64.

Source: Peters et al. 2018 (arXiv 1802.05365), section 3; Kim et al. 2016 (arXiv 1508.06615), section 2; what bilm-tf
stores and how it spells. Weights carry bilm-tf's names and shapes, so that the naming is checked in one go.
"""

from functools import cache
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

Weights = Dict[str, np.ndarray]
# Of one direction, for each layer: last projected output r and cell c.
State = List[Tuple[np.ndarray, np.ndarray]]


class ElmoOracle:
    """Layers of sentences.

    weights (Weights): Under bilm-tf's names; `char_embed` has no row for "no token"; word models have `embedding`.
    filters (Sequence[Tuple[int, int]]): Width and number of each group of convolutions.
    vocab (Sequence[str]): Of models that read word ids, `<S>`, `</S>`, `<UNK>` first.
    alphabet (Optional[Sequence[str]]): Letters that have an id. None: bytes.
    The others as in bilm-tf's options.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        filters: Sequence[Tuple[int, int]] = (),
        activation: str = "relu",
        n_highway: int = 0,
        n_layers: int = 2,
        use_skip_connections: bool = False,
        cell_clip: Optional[float] = None,
        proj_clip: Optional[float] = None,
        forget_bias: float = 1.0,
        directions: int = 2,
        vocab: Sequence[str] = (),
        alphabet: Optional[Sequence[str]] = None,
        max_characters: int = 50,
    ) -> None:
        self.weights = {name: np.asarray(array, dtype=np.float64) for name, array in weights.items()}
        self.filters, self.n_highway = filters, n_highway
        self.activation = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[activation]
        self.n_layers, self.use_skip_connections = n_layers, use_skip_connections
        self.cell_clip, self.proj_clip, self.forget_bias = cell_clip, proj_clip, forget_bias
        self.directions, self.vocab, self.alphabet, self.max_characters = directions, vocab, alphabet, max_characters
        self.n_clipped = 0  # numbers that clipping has changed
        self.word_vector = cache(self.word_vector)  # type: ignore[method-assign]

    def layers(self, sentence: Sequence[str], states: Optional[List[State]] = None) -> Tuple[np.ndarray, List[State]]:
        """All layers of one sentence.

        states (Optional[List[State]]): Of each direction, before its first boundary. None: zero.
        RETURNS: (layers + 1, tokens, directions * projection), and the states after the last boundary.
        """
        n_words = len(sentence)
        tokens = [self.word_vector(word) for word in ["<S>", *sentence, "</S>"]]
        columns, ends = [], []
        for direction in range(self.directions):
            inputs = tokens if direction == 0 else tokens[::-1]
            outputs, end = self.run(inputs, direction, None if states is None else states[direction])
            every = np.stack([inputs] + outputs)  # (layers + 1, tokens + 2, projection)
            columns.append((every if direction == 0 else every[:, ::-1])[:, 1 : n_words + 1])
            ends.append(end)
        return np.concatenate(columns, axis=2), ends

    def run(
        self, inputs: List[np.ndarray], direction: int, state: Optional[State]
    ) -> Tuple[List[List[np.ndarray]], State]:
        """One direction in its reading order: outputs by layer and token, and its state at the end."""
        outputs: List[List[np.ndarray]] = []
        end: State = []
        for layer in range(self.n_layers):
            name = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            weight, bias = self.weights[f"{name}/W_0"], self.weights[f"{name}/B"]
            projection = self.weights[f"{name}/W_P_0"]
            cell_width, width = projection.shape
            r, c = (np.zeros(width), np.zeros(cell_width)) if state is None else state[layer]
            out = []
            for x in inputs:
                i, j, f, o = np.split(np.concatenate([x, r]) @ weight + bias, 4)
                c = self.clip(sigmoid(f + self.forget_bias) * c + sigmoid(i) * np.tanh(j), self.cell_clip)
                r = self.clip((sigmoid(o) * np.tanh(c)) @ projection, self.proj_clip)
                out.append(r + x if layer > 0 and self.use_skip_connections else r)
            outputs.append(out)
            end.append((r, c))
            inputs = out
        return outputs, end

    def clip(self, values: np.ndarray, limit: Optional[float]) -> np.ndarray:
        """Cut at +- limit, and count."""
        if limit is None:
            return values
        self.n_clipped += int((np.abs(values) > limit).sum())
        return np.clip(values, -limit, limit)

    def word_vector(self, word: str) -> np.ndarray:
        """What the first layer reads of a word. Shape: (projection,)."""
        if self.vocab:
            return self.weights["embedding"][self.vocab.index(word if word in self.vocab else "<UNK>")]
        characters = self.weights["char_embed"][self.spell(word)]  # (max_characters, char_width)
        found = []
        for group, (width, _) in enumerate(self.filters):
            weight, bias = self.weights[f"CNN/W_cnn_{group}"][0], self.weights[f"CNN/b_cnn_{group}"]
            responses = [
                np.tensordot(characters[place : place + width], weight, axes=([0, 1], [0, 1])) + bias
                for place in range(self.max_characters - width + 1)
            ]
            found.append(self.activation(np.max(responses, axis=0)))
        x = np.concatenate(found)
        for layer in range(self.n_highway):
            high = {name: self.weights[f"CNN_high_{layer}/{name}"] for name in HIGHWAY}
            gate = sigmoid(x @ high["W_carry"] + high["b_carry"])
            x = gate * np.maximum(x @ high["W_transform"] + high["b_transform"], 0) + (1 - gate) * x
        return x @ self.weights["CNN_proj/W_proj"] + self.weights["CNN_proj/b_proj"]

    def spell(self, word: str) -> List[int]:
        """Ids in training's numbering: characters, then begin and end of sentence, begin and end of word, padding."""
        if self.alphabet is None:
            units, n_units = list(word.encode("utf8", "ignore")), 256
        else:
            n_units = len(self.alphabet) + 1
            known = list(self.alphabet)
            units = [known.index(letter) if letter in known else n_units - 1 for letter in word]
        begin_sentence, end_sentence, begin_word, end_word, padding = range(n_units, n_units + 5)
        if word in ("<S>", "</S>"):
            units = [begin_sentence if word == "<S>" else end_sentence]
        row = [begin_word, *units[: self.max_characters - 2], end_word]
        return row + [padding] * (self.max_characters - len(row))


HIGHWAY = ("W_carry", "b_carry", "W_transform", "b_transform")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def scalar_mix(
    layers: Sequence[np.ndarray], weights: Sequence[float], gamma: float, *, layer_norm: bool = False
) -> np.ndarray:
    """Peters et al. 2018, equation 1. layers: each (tokens, width), real tokens only."""
    shares = [np.exp(w) / sum(np.exp(v) for v in weights) for w in weights]
    if layer_norm:
        layers = [(layer - layer.mean()) / np.sqrt(layer.var() + 1e-12) for layer in layers]
    total = np.zeros_like(layers[0])
    for share, layer in zip(shares, layers):
        total += share * layer
    return gamma * total
