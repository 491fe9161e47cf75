"""Random state dicts with the published names, of any size, with scores that are neither all negative nor huge."""

from typing import Dict

import numpy as np

Arrays = Dict[str, np.ndarray]


def random_state(
    *,
    seed: int = 0,
    vocab_size: int = 23,
    width: int = 16,
    n_heads: int = 4,
    head_width: int = 8,
    n_layers: int = 2,
    n_key_layers: int = 2,
    n_query_layers: int = 1,
    kernel_size: int = 3,
    dec_layers: int = 2,
) -> Arrays:
    """Weights of every variant at once: a conversion uses those of the named one and lists the others."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    state: Arrays = {"enc_emb.weight": normal(vocab_size, width)}

    def linear(name: str, n_out: int, n_in: int) -> None:
        state[f"{name}.weight"] = normal(n_out, n_in, scale=n_in**-0.5)
        state[f"{name}.bias"] = normal(n_out, scale=0.1)

    def gru(name: str, suffix: str, hidden: int, n_in: int) -> None:
        state[f"{name}.weight_ih{suffix}"] = normal(3 * hidden, n_in, scale=n_in**-0.5)
        state[f"{name}.weight_hh{suffix}"] = normal(3 * hidden, hidden, scale=hidden**-0.5)
        state[f"{name}.bias_ih{suffix}"] = normal(3 * hidden, scale=0.1)
        state[f"{name}.bias_hh{suffix}"] = normal(3 * hidden, scale=0.1)

    for side in ("fw", "bw"):
        predictor = f"st_predictor_{side}"
        for stack, depth in (("key_cnn", n_key_layers), ("query_cnn", n_query_layers)):
            for block in range(depth):
                name = f"{predictor}.{stack}.{block}"
                state[f"{name}.0.weight"] = normal(width, width, kernel_size, scale=(width * kernel_size) ** -0.5)
                state[f"{name}.0.bias"] = normal(width, scale=0.1)
                state[f"{name}.1.weight"] = 1 + normal(width, scale=0.1)
                state[f"{name}.1.bias"] = normal(width, scale=0.1)
                state[f"{name}.1.running_mean"] = normal(width, scale=0.1)
                state[f"{name}.1.running_var"] = np.exp(normal(width, scale=0.2))
        for layer in range(n_layers):
            linear(f"{predictor}.key_dot_trans.{layer}", n_heads * head_width, width)
            linear(f"{predictor}.query_dot_trans.{layer}", n_heads * head_width, width)
            linear(f"{predictor}.value_trans.{layer}", width, width)
            linear(f"{predictor}.sparse_trans.{layer}", 1, head_width)
        state[f"{predictor}.sparse_bias"] = 0.1 + normal(n_layers, scale=0.1)
        gru(f"{predictor}.gru_cell", "", width, 2 * width)
        for layer in range(dec_layers):
            gru(f"dec_net_{side}.rnn_fw", f"_l{layer}", width, width)
        state[f"dec_net_{side}.out.weight"] = state["enc_emb.weight"].copy()
    return state
