"""Slow, obvious GLoMo in numpy, from the equations: one sequence at a time, no padding, float64, evaluation mode.

Source: Yang et al. 2018 (arXiv 1806.05662), sections 3.1-3.3. Weights carry the names of the published code, so that
the conversion and the model are checked in one go. Symbols: d width, K heads, h key width, S length.
"""

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

State = Dict[str, np.ndarray]
EPSILON = 1e-16  # added to the mass of a row before it divides
BATCH_NORM_EPSILON = 1e-5


class GlomoOracle:
    """Graphs, features and losses of an original-named state dict.

    state (Dict[str, ndarray]): Weights under the published names.
    n_heads (int): Graphs per layer, K.
    sparsity (str): "square", "relu", "shifted-relu", "top-k", "threshold" or "softmax".
    feature_predictor (str): "gru" or "additive".
    use_value (bool): For "additive": transform the features before they are sent.
    top_k_rate (float): For "top-k": a row keeps floor(rate * sqrt(S)) sources, at least 1 and at most S.
    dec_len (int): Tokens predicted from each position.
    """

    def __init__(
        self,
        state: State,
        *,
        n_heads: int,
        sparsity: str,
        feature_predictor: str = "gru",
        use_value: bool = True,
        top_k_rate: float = 1.0,
        dec_len: int = 3,
    ) -> None:
        self.state = {name: np.asarray(array, dtype=np.float64) for name, array in state.items()}
        self.n_heads = n_heads
        self.sparsity = sparsity
        self.feature_predictor = feature_predictor
        self.use_value = use_value
        self.top_k_rate = top_k_rate
        self.dec_len = dec_len

    def graphs(self, ids: Sequence[int]) -> np.ndarray:
        """RETURNS (ndarray): (2 * layers, heads, receiver, source): forward layers, then backward, reading order."""
        embedded = self.state["enc_emb.weight"][np.asarray(ids)]
        forward, _ = self.direction(embedded, direction="fw")
        backward, _ = self.direction(embedded[::-1], direction="bw")
        return np.stack(forward + [graph[:, ::-1, ::-1] for graph in backward])

    def features(self, ids: Sequence[int]) -> np.ndarray:
        """RETURNS (ndarray): (1 + 2 * layers, seq, width): embeddings, forward and backward layers, reading order."""
        embedded = self.state["enc_emb.weight"][np.asarray(ids)]
        _, forward = self.direction(embedded, direction="fw")
        _, backward = self.direction(embedded[::-1], direction="bw")
        return np.stack([embedded] + forward + [layer[::-1] for layer in backward])

    def loss(self, batch: Sequence[Sequence[int]], positions: Tuple[Sequence[int], Sequence[int]]) -> float:
        """Half the mean cross-entropy of each direction, over every target that lies inside its sequence."""
        total = 0.0
        for direction, sampled in zip(("fw", "bw"), positions, strict=True):
            losses: List[float] = []
            for ids in batch:
                ordered = np.asarray(ids) if direction == "fw" else np.asarray(ids)[::-1]
                embedded = self.state["enc_emb.weight"][ordered]
                _, features = self.direction(embedded, direction=direction)
                for position in sampled:
                    losses += self._target_losses(features[-1], embedded, ordered, position, direction)
            total += 0.5 * float(np.mean(losses))
        return total

    def direction(self, embedded: np.ndarray, *, direction: str) -> Tuple[List[np.ndarray], List[np.ndarray]]:
        """Graphs (heads, seq, seq) and features (seq, width) of each layer, in the order the predictor reads."""
        prefix = f"st_predictor_{direction}"
        keys = self._encode(embedded, f"{prefix}.key_cnn")
        queries = self._encode(embedded, f"{prefix}.query_cnn")
        graphs: List[np.ndarray] = []
        features: List[np.ndarray] = []
        feature = embedded
        for layer in range(self._count(f"{prefix}.key_dot_trans")):
            graph = self._graph(keys, queries, prefix, layer)
            feature = self._next_feature(feature, graph, prefix, layer)
            graphs.append(graph)
            features.append(feature)
        return graphs, features

    # --- encoders ----------------------------------------------------------------------------------------------------

    def _encode(self, x: np.ndarray, stack: str) -> np.ndarray:
        """Blocks of causal convolution, batch norm over channels, ReLU."""
        for block in range(self._count(stack)):
            x = _causal_convolution(x, self.state[f"{stack}.{block}.0.weight"], self.state[f"{stack}.{block}.0.bias"])
            norm = f"{stack}.{block}.1"
            mean, variance = self.state[f"{norm}.running_mean"], self.state[f"{norm}.running_var"]
            x = (x - mean) / np.sqrt(variance + BATCH_NORM_EPSILON)
            x = x * self.state[f"{norm}.weight"] + self.state[f"{norm}.bias"]
            x = np.maximum(x, 0.0)
        return x

    # --- graphs ------------------------------------------------------------------------------------------------------

    def _graph(self, keys: np.ndarray, queries: np.ndarray, prefix: str, layer: int) -> np.ndarray:
        q = self._heads(self._linear(queries, f"{prefix}.query_dot_trans.{layer}"))
        k = self._heads(self._linear(keys, f"{prefix}.key_dot_trans.{layer}"))
        threshold: Optional[np.ndarray] = None
        if self.sparsity == "threshold":
            threshold = self._linear(q, f"{prefix}.sparse_trans.{layer}")[..., 0]  # (heads, receiver)
        elif self.sparsity == "shifted-relu":
            threshold = np.full(q.shape[:2], self.state[f"{prefix}.sparse_bias"][layer])
        scores = np.einsum("hic,hjc->hij", q, k)
        if self.sparsity == "softmax":
            scores = scores / np.sqrt(q.shape[-1])
        return np.stack(
            [
                weigh(scores[head], sparsity=self.sparsity, threshold=_row(threshold, head), top_k_rate=self.top_k_rate)
                for head in range(self.n_heads)
            ]
        )

    def _heads(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), self.n_heads, -1).transpose(1, 0, 2)  # (heads, seq, h)

    # --- features ----------------------------------------------------------------------------------------------------

    def _next_feature(self, feature: np.ndarray, graph: np.ndarray, prefix: str, layer: int) -> np.ndarray:
        sent = feature
        if self.feature_predictor == "additive" and self.use_value:
            sent = self._linear(feature, f"{prefix}.value_trans.{layer}")
        slices = np.split(sent, self.n_heads, axis=1)
        message = np.concatenate(
            [head @ part for head, part in zip(graph, slices, strict=True)], axis=1
        )  # (seq, width)
        if self.feature_predictor == "additive":
            return feature + message
        return self._gru_cell(np.concatenate([message * feature, message], axis=1), feature, f"{prefix}.gru_cell", "")

    def _gru_cell(self, x: np.ndarray, hidden: np.ndarray, name: str, suffix: str) -> np.ndarray:
        """r, z, n = reset, update, candidate; h' = (1 - z) n + z h."""
        from_input = x @ self.state[f"{name}.weight_ih{suffix}"].T + self.state[f"{name}.bias_ih{suffix}"]
        from_hidden = hidden @ self.state[f"{name}.weight_hh{suffix}"].T + self.state[f"{name}.bias_hh{suffix}"]
        input_r, input_z, input_n = np.split(from_input, 3, axis=-1)
        hidden_r, hidden_z, hidden_n = np.split(from_hidden, 3, axis=-1)
        reset, update = _sigmoid(input_r + hidden_r), _sigmoid(input_z + hidden_z)
        candidate = np.tanh(input_n + reset * hidden_n)
        return (1 - update) * candidate + update * hidden

    # --- objective ---------------------------------------------------------------------------------------------------

    def _target_losses(
        self, states: np.ndarray, embedded: np.ndarray, ids: np.ndarray, position: int, direction: str
    ) -> List[float]:
        """Cross-entropies of tokens position + 1 .. position + dec_len, as far as they exist."""
        decoder = f"dec_net_{direction}.rnn_fw"
        n_layers = len([name for name in self.state if name.startswith(f"{decoder}.weight_ih_l")])
        if position >= len(ids):
            return []
        hidden = [states[position]] * n_layers
        losses = []
        for step in range(self.dec_len):
            if position + step + 1 >= len(ids):
                break
            x = embedded[position + step] if step else np.zeros_like(embedded[0])
            for layer in range(n_layers):
                hidden[layer] = x = self._gru_cell(x, hidden[layer], decoder, f"_l{layer}")
            logits = self.state["enc_emb.weight"] @ x
            losses.append(_log_sum_exp(logits) - float(logits[ids[position + step + 1]]))
        return losses

    # --- shared ------------------------------------------------------------------------------------------------------

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def _count(self, stack: str) -> int:
        return len({name[len(stack) + 1 :].split(".")[0] for name in self.state if name.startswith(f"{stack}.")})


def weigh(
    scores: np.ndarray, *, sparsity: str, threshold: Optional[np.ndarray] = None, top_k_rate: float = 1.0
) -> np.ndarray:
    """Scores (receiver, source) of one head to edge weights: receiver i looks at sources j < i only."""
    seq = len(scores)
    graph = np.zeros_like(scores, dtype=np.float64)
    for receiver in range(seq):
        past = scores[receiver, :receiver].astype(np.float64)
        if sparsity in ("threshold", "shifted-relu") and threshold is not None:
            past = past - threshold[receiver]
        if sparsity in ("relu", "threshold", "shifted-relu"):
            past = np.maximum(past, 0.0)
        mass = np.exp(past - past.max()) if sparsity == "softmax" and receiver else past**2
        if sparsity == "top-k":
            kept = min(max(int(top_k_rate * np.sqrt(seq)), 1), seq)
            mass = np.where(_rank(mass) < kept, mass, 0.0)
        graph[receiver, :receiver] = mass / (mass.sum() + EPSILON)
    return graph


def _rank(values: np.ndarray) -> np.ndarray:
    """0 for the largest value, 1 for the next, ..."""
    rank = np.empty(len(values), dtype=int)
    rank[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return rank


def _row(threshold: Optional[np.ndarray], head: int) -> Optional[np.ndarray]:
    return None if threshold is None else threshold[head]


def _causal_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Output t sees inputs t - kernel + 1 .. t. Weight: (out, in, kernel); the last tap is the token itself."""
    kernel = weight.shape[2]
    output = np.tile(bias, (len(x), 1))
    for t in range(len(x)):
        for tap in range(kernel):
            source = t - (kernel - 1) + tap
            if source >= 0:
                output[t] += weight[:, :, tap] @ x[source]
    return output


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _log_sum_exp(x: np.ndarray) -> float:
    top = float(x.max())
    return top + float(np.log(np.exp(x - top).sum()))
