"""Sizes and variants of a GLoMo model: every option of the published code that shapes the network, by its meaning.

Source: Yang et al. 2018 (arXiv 1806.05662), sections 3.1-3.3, and the options of kimiyoung/glomo's `pretrain/main.py`.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from ...errors import Errors
from ..config_checks import check_names

SPARSITIES = ("square", "relu", "shifted-relu", "top-k", "threshold", "softmax", "stick-breaking")
FLAT_SPARSITIES = ("shifted-relu", "threshold", "softmax", "stick-breaking")
ENCODERS = ("cnn", "feed-forward")
FEATURE_PREDICTORS = ("gru", "additive")

WHOLE_PAST = -1  # as a fixed window: every earlier token


@dataclass(frozen=True)
class GlomoConfig:
    """Everything needed to build a `GlomoModel`.

    vocab_size (int): Words including the unknown word, whose id is the last. Published: 100,001.
    width (int): Embedding and feature width d, divisible by `n_heads` unless `head_channels` says otherwise.
        Published: 512.
    n_layers (int): Graph layers L per direction. Published: 3.
    n_heads (int): Graphs K per layer, fixed windows included. Published: 8.
    head_width (Optional[int]): Width of a key or query per head. None: width // 2, as published.
    n_key_layers (int): Blocks of the key encoder. Published: 4.
    n_query_layers (int): Blocks of the query encoder. Published: 4.
    kernel_size (int): Tokens a convolution sees: itself and the `kernel_size - 1` before it. Published: 3.
    encoder (str): "cnn" (published, `cnn_sa 1`) or "feed-forward" (`cnn_sa 0`, which only raised there): blocks that
        see one token each.
    sparsity (str): How scores become weights: "square", "relu", "shifted-relu", "top-k", "threshold" (published),
        "softmax" (`yann 0`, which only raised there) or, an extension, "stick-breaking": the nearest source that fits.
    reach (Tuple[float, ...]): For "stick-breaking": mean distance at which each learned head stops before it has
        learned anything, above 1. Empty: 8 tokens for all.
    top_k_rate (float): For "top-k": sources kept per row = floor(top_k_rate * sqrt(length)), at least 1.
    center_queries (bool): Extension, off in the published variant. Subtract from each query its mean over all
        positions and divide by the deviation, so that a row depends on who receives and not only on who is attended.
    fixed_windows (Tuple[int, ...]): Extension, empty in the published variant. The first heads of each layer are not
        learned but uniform over the last n tokens: 1 = the previous token, 0 = nothing, -1 = the whole past.
    head_channels (Tuple[int, ...]): Extension, empty in the published variant: how many of the features' `width`
        channels each head sends, windows first. Empty: all heads alike.
    learn_nearness (bool): Extension, off in the published variant. Each learned head also learns a factor for each of
        twelve ranges of distance.
    flat_start (bool): Extension, off in the published variant. Learned heads begin with equal weights for all earlier
        tokens in place of random ones. For "threshold", "shifted-relu" and "softmax"; with "stick-breaking" they
        begin at their `reach`.
    detach_embeddings (bool): Extension, off in the published variant. Graphs are learned from the words' embeddings
        without changing them: those learn by features and predictions alone.
    feature_predictor (str): "gru" (published) or "additive" (`no_gru 1`).
    use_value (bool): For "additive": transform features before they are sent (`use_value`).
    dec_len (int): Tokens predicted from each sampled position. Published: 3.
    n_decoder_layers (int): GRU layers of the context decoder. Published: 2.
    dropout (float): Locked dropout on encoder inputs and decoder states, 0-1. Published: 0.
    scale_grad_by_freq (bool): Divide a word's embedding gradient by its count in the batch. Published: True.
    """

    vocab_size: int
    width: int = 512
    n_layers: int = 3
    n_heads: int = 8
    head_width: Optional[int] = None
    n_key_layers: int = 4
    n_query_layers: int = 4
    kernel_size: int = 3
    encoder: str = "cnn"
    sparsity: str = "threshold"
    top_k_rate: float = 1.0
    reach: Tuple[float, ...] = field(default=())
    center_queries: bool = False
    fixed_windows: Tuple[int, ...] = field(default=())
    head_channels: Tuple[int, ...] = field(default=())
    learn_nearness: bool = False
    flat_start: bool = False
    detach_embeddings: bool = False
    feature_predictor: str = "gru"
    use_value: bool = True
    dec_len: int = 3
    n_decoder_layers: int = 2
    dropout: float = 0.0
    scale_grad_by_freq: bool = True

    def __post_init__(self) -> None:
        for name in ("fixed_windows", "head_channels", "reach"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("vocab_size", "width", "n_layers", "n_heads", "kernel_size", "dec_len", "n_decoder_layers"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(
                    Errors.G101.format(name=name, expected="a whole number above 0", value=getattr(self, name))
                )
        for name, options in (
            ("sparsity", SPARSITIES),
            ("encoder", ENCODERS),
            ("feature_predictor", FEATURE_PREDICTORS),
        ):
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))
        if not self.head_channels and self.width % self.n_heads:
            raise ValueError(Errors.G102.format(width=self.width, n_heads=self.n_heads))
        if self.head_channels and (
            len(self.head_channels) != self.n_heads
            or min(self.head_channels) < 1
            or sum(self.head_channels) != self.width
        ):
            expected = f"{self.n_heads} numbers above 0 (one per head) that add up to the width of {self.width}"
            raise ValueError(Errors.G101.format(name="head_channels", expected=expected, value=self.head_channels))
        if len(self.fixed_windows) > self.n_heads or any(window < WHOLE_PAST for window in self.fixed_windows):
            expected = f"at most {self.n_heads} windows (one per head), each -1, 0 or a number of tokens"
            raise ValueError(Errors.G101.format(name="fixed_windows", expected=expected, value=self.fixed_windows))
        if self.reach and (len(self.reach) != self.n_learned_heads or min(self.reach) <= 1):
            expected = f"{self.n_learned_heads} distances above 1 (one per learned head)"
            raise ValueError(Errors.G101.format(name="reach", expected=expected, value=self.reach))
        if self.flat_start and self.sparsity not in FLAT_SPARSITIES:
            expected = f"false, or sparsity one of {', '.join(FLAT_SPARSITIES)}"
            raise ValueError(Errors.G101.format(name="flat_start", expected=expected, value=self.flat_start))
        if not 0 <= self.dropout < 1:
            raise ValueError(Errors.G101.format(name="dropout", expected="at least 0 and below 1", value=self.dropout))

    @property
    def n_learned_heads(self) -> int:
        """Heads per layer that have keys and queries."""
        return self.n_heads - len(self.fixed_windows)

    @property
    def channels(self) -> Tuple[int, ...]:
        """Channels that each head sends."""
        return self.head_channels or (self.width // self.n_heads,) * self.n_heads

    @property
    def key_width(self) -> int:
        """Width of a key or query per head."""
        return self.head_width if self.head_width is not None else self.width // 2

    @property
    def n_graphs(self) -> int:
        """Graphs per sequence: directions x layers x heads."""
        return 2 * self.n_layers * self.n_heads

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "GlomoConfig":
        """Build from a config section; an unknown name is an error that lists the known ones."""
        check_names(cls, values)
        return cls(**values)
