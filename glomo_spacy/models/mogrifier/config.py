"""Sizes and variants of a word language model, by their meaning.

Source: Melis et al. 2020 (arXiv 1909.01792), section 4, and the options of deepmind/lamb, whose tuned settings are the
published numbers here (2 layers, PTB, 24 M parameters).
"""

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

from ...errors import Errors
from ..config_checks import check, check_names, is_number, is_whole
from .cell_settings import INPUT_GATES, CellSettings

CELLS = ("mogrifier", "lstm", "gru", "rnn-tanh", "rnn-relu", "transformer")
OUTPUTS = ("sum", "top")
SOFTMAXES = ("full", "adaptive")
POSITIONS = ("sine", "none")
_LSTM_ONLY = ("layer_norm", "cell_clip", "proj_width")  # fields


@dataclass(frozen=True)
class MogrifierConfig:
    """Everything needed to build a `LanguageModel`.

    vocab_size (int): Words, `<S>`, `</S>` and `<UNK>` among them.
    embedding_width (int): Width of word vectors.
    hidden_width (int): Width of a layer's cell. Published: 912 by our count.
    n_layers (int): Layers. Published: 2.
    cell (str): "mogrifier", "lstm" (the same without gating), "gru", "rnn-tanh", "rnn-relu" or "transformer".
    rounds (int): Gating rounds of a Mogrifier as the paper counts them. Published: 5.
    rank (Optional[int]): Of the gates' matrices; null: full. Published: 84.
    input_gate (str): Of Mogrifier and LSTM: "capped" (published), "tied", or "free" as in a textbook.
    gate_bias (bool): Biases in the gating rounds. The paper's equations have none, its code has.
    layer_norm (bool): Layer normalisation in Mogrifier and LSTM.
    cell_clip (Optional[float]): Mogrifier's and LSTM's cells are clipped to +- this; null: not at all.
    proj_width (Optional[int]): Mogrifier's and LSTM's outputs are projected to this width; null: not at all.
    forget_bias (float): Added to the forget gate at run time, never stored. Published: 1.
    outputs (str): "sum" of all layers' outputs (published) or those of the "top" layer.
    tied (bool): One table for words read and words predicted (published). Where outputs are not as wide as word
        vectors, they are projected first.
    n_softmaxes (int): Soft-maxes that are mixed. 1: no mixture. Published: 2 on WikiText-2.
    softmax (str): "full", or "adaptive", which is cheaper with many words; neither tied nor mixed.
    adaptive_cutoffs (Tuple[int, ...]): For "adaptive": rising ids at which the clusters of rarer words begin.
    input_dropout, layer_dropout, state_dropout, output_dropout (float): Share of channels dropped in training, of word
        vectors, between layers, of the last output where it recurs, and of what is put out; each time one mask per
        sequence and call. Published: .729, .291, .387, .716.
    reset_probability (float): Share of the rows whose state is forgotten at the start of a call in training, so that
        the model also learns to begin. Published: .01.
    n_heads (int): Of a transformer; divides `hidden_width`.
    ffn_width (int): Of a transformer's feed-forward layers.
    positions (str): Of a transformer: "sine" or "none".
    window (int): Of a transformer: words that it sees at a time where it reads texts of any length, as it has no state;
        as many as in training.
    spelling_width (Optional[int]): Width of the model that spells unknown words. null: none.
    RAISES: ValueError G100 for an unknown choice, G101 for a value out of range, G182 and G183 for choices that exclude
        each other.
    """

    vocab_size: int
    embedding_width: int = 256
    hidden_width: int = 256
    n_layers: int = 1
    cell: str = "mogrifier"
    rounds: int = 5
    rank: Optional[int] = None
    input_gate: str = "capped"
    gate_bias: bool = True
    layer_norm: bool = False
    cell_clip: Optional[float] = None
    proj_width: Optional[int] = None
    forget_bias: float = 1.0
    outputs: str = "sum"
    tied: bool = True
    n_softmaxes: int = 1
    softmax: str = "full"
    adaptive_cutoffs: Tuple[int, ...] = ()
    input_dropout: float = 0.0
    layer_dropout: float = 0.0
    state_dropout: float = 0.0
    output_dropout: float = 0.0
    reset_probability: float = 0.0
    n_heads: int = 8
    ffn_width: int = 1024
    positions: str = "sine"
    window: int = 35
    spelling_width: Optional[int] = None

    def __post_init__(self) -> None:
        check("vocab_size", self.vocab_size, "the number of words, at least 3", is_whole(self.vocab_size, 3))
        for name in ("embedding_width", "hidden_width", "n_layers", "n_softmaxes", "n_heads", "ffn_width", "window"):
            check(name, getattr(self, name), "a whole number above 0", is_whole(getattr(self, name), 1))
        check("rounds", self.rounds, "a whole number, 0 or more", is_whole(self.rounds, 0))
        for name in ("rank", "proj_width", "spelling_width"):
            value = getattr(self, name)
            check(name, value, "a whole number above 0, or null", value is None or is_whole(value, 1))
        clip = self.cell_clip
        check("cell_clip", clip, "a number above 0, or null for none", clip is None or is_number(clip) and clip > 0)
        check("forget_bias", self.forget_bias, "a number", is_number(self.forget_bias))
        for name in ("gate_bias", "layer_norm", "tied"):
            check(name, getattr(self, name), "true or false", isinstance(getattr(self, name), bool))
        for name in ("input_dropout", "layer_dropout", "state_dropout", "output_dropout", "reset_probability"):
            rate = getattr(self, name)
            check(name, rate, "at least 0 and below 1", is_number(rate) and 0 <= rate < 1)
        self._check_choices()
        self._check_softmax()

    def _check_choices(self) -> None:
        for name, options in (
            ("cell", CELLS),
            ("input_gate", INPUT_GATES),
            ("outputs", OUTPUTS),
            ("softmax", SOFTMAXES),
            ("positions", POSITIONS),
        ):
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))
        if not self.is_lstm:
            given = [name for name in _LSTM_ONLY if getattr(self, name)]
            if given:
                raise ValueError(Errors.G183.format(names=", ".join(given), cell=self.cell))
        if self.cell == "transformer" and self.hidden_width % self.n_heads:
            raise ValueError(Errors.G102.format(width=self.hidden_width, n_heads=self.n_heads))

    def _check_softmax(self) -> None:
        cutoffs = tuple(self.adaptive_cutoffs)
        is_rising = all(is_whole(rank, 3) for rank in cutoffs) and all(a < b for a, b in zip(cutoffs, cutoffs[1:]))
        is_fine = is_rising and (not cutoffs or cutoffs[-1] < self.vocab_size)
        if self.softmax == "adaptive":
            is_fine = is_fine and bool(cutoffs)
            if self.tied or self.n_softmaxes > 1:
                raise ValueError(Errors.G182.format(tied=self.tied, n_softmaxes=self.n_softmaxes))
        expected = "rising ids from 3 up, below vocab_size, at least one for an adaptive softmax"
        check("adaptive_cutoffs", cutoffs, expected, is_fine)
        object.__setattr__(self, "adaptive_cutoffs", cutoffs)

    @property
    def is_lstm(self) -> bool:
        """Whether layers are Mogrifier LSTMs, with or without gating."""
        return self.cell in ("mogrifier", "lstm")

    @property
    def output_width(self) -> int:
        """Width of a layer's outputs, which is that of the model's states as features."""
        return self.proj_width or self.hidden_width

    def cell_settings(self, layer: int) -> CellSettings:
        """What makes one layer of a Mogrifier or an LSTM.

        layer (int): Its number, from 0.
        """
        return CellSettings(
            self.output_width if layer else self.embedding_width,
            self.hidden_width,
            rounds=self.rounds if self.cell == "mogrifier" else 0,
            rank=self.rank,
            input_gate=self.input_gate,
            gate_bias=self.gate_bias,
            layer_norm=self.layer_norm,
            cell_clip=self.cell_clip,
            proj_width=self.proj_width,
            forget_bias=self.forget_bias,
        )

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "MogrifierConfig":
        """Build from a config section; an unknown name is an error that lists the known ones."""
        check_names(cls, values)
        if "vocab_size" not in values:
            raise ValueError(Errors.G101.format(name="vocab_size", expected="the number of words", value=None))
        return cls(**values)
