"""Sizes and variants of a question-answering reader: every option of the published code by its meaning.

Source: Yang et al. 2018 (arXiv 1806.05662), section 4.1, and the options of kimiyoung/glomo's `squad/main.py`.
"""

from dataclasses import dataclass
from typing import Any, Dict, Optional

from ...errors import Errors
from ..config_checks import check, check_names, is_number, is_whole
from ..glomo.mixing import TransferConfig

GRAPHS = ("none", "inputs", "states", "uniform")
ATTENTIONS = ("softmax", "square")
OUTPUTS = ("pointer", "recurrent")
N_RESERVED_CHARACTERS = 2  # ids 0 (nothing) and 1 (unknown) of the character table
_COUNTS = ("n_words", "elmo_layers", "elmo_width", "feature_width")
_SIZES = ("word_width", "char_width", "char_channels", "char_kernel", "max_chars", "graph_layers", "graph_heads")
_MORE_SIZES = ("n_mixes", "encoder_width", "hidden_width", "model_width", "max_answer")
_RATES = ("input_dropout", "dropout", "pointer_dropout")


@dataclass(frozen=True)
class ReaderConfig:
    """Everything needed to build a `ReaderModel`.

    n_words (int): Rows of the table of static word vectors. 0: none.
    word_width (int): Width of a static vector. Published: 300.
    train_words (bool): Train the table. Published: False.
    elmo_layers (int): Layers of the biLM above its token vectors, which count besides. 0: no biLM. Published: 2.
    elmo_width (int): Width of each layer. Published: 1024.
    feature_width (int): Width of features that are given from outside. 0: none.
    characters (str): The alphabet: the n-th character has id n + 2, after 0 for nothing and 1 for unknown ones. "":
        no character features.
    char_width (int): Of a character's vector. Published: 8.
    char_channels (int): Of the convolution over a word's characters. Published: 100.
    char_kernel (int): Characters that a convolution sees. Published: 5.
    max_chars (int): Characters of a word that are read. Published: 16.
    graph (str): "none", "inputs" (frozen graphs carry word features), "states" (TRNN: they carry the encoder's
        states) or "uniform" (the control: every token receives the mean of all).
    graph_layers (int): Graph layers per direction. Published: 3.
    graph_heads (int): Graphs per layer. Published: 8.
    mixture (str): "uniform", "free" or "conditioned" (`condition 1`, published); see `TransferConfig`.
    n_mixes (int): Mixtures per direction, `att_cnt`. Published: 2.
    fusion (str): "concatenate", "gru", "gate" or "gate-products" (`gate_fuse 3`, published). With states it is
        always the published gate.
    candidates (Optional[str]): "plain" graphs, or "products" across layers too (published). None: what the fusion is
        for; products with states.
    graph_source, elmo_source (Optional[str]): Where the frozen models come from: packaged name or directory.
    graph_sha256, elmo_sha256 (Optional[str]): Of their weights: a reader must be given what it was trained with.
    encoder_width (int): States per direction of the encoder, `hidden0`. Published: 76.
    hidden_width (int): States per direction below the self-attention, `hidden1`. Published: 76.
    model_width (int): Of rows between the parts and of the output's states, `hidden`. Published: 76.
    attention (str): "softmax", or "square": squared scores over their sum; not with states.
    output (str): "pointer" (`original_ptr`, published) or "recurrent": a network each for start and end.
    input_dropout (float): Of encoder input, gates and mixtures, 1 - `keep_prob0`. Published: .2, .5 with ELMo.
    dropout (float): Of everything else, 1 - `keep_prob`. Published: .2.
    pointer_dropout (float): Of the pointer, 1 - `ptr_keep_prob`. Published: .2.
    max_answer (int): Tokens of the longest answer. Published: 16.
    RAISES: ValueError G100 for an unknown choice, G101 for a value out of range, G190 if no words are read, G191 for
        squared attention over states.
    """

    n_words: int = 0
    word_width: int = 300
    train_words: bool = False
    elmo_layers: int = 0
    elmo_width: int = 0
    feature_width: int = 0
    characters: str = ""
    char_width: int = 8
    char_channels: int = 100
    char_kernel: int = 5
    max_chars: int = 16
    graph: str = "none"
    graph_layers: int = 3
    graph_heads: int = 8
    mixture: str = "conditioned"
    n_mixes: int = 2
    fusion: str = "gate-products"
    candidates: Optional[str] = None
    graph_source: Optional[str] = None
    graph_sha256: Optional[str] = None
    elmo_source: Optional[str] = None
    elmo_sha256: Optional[str] = None
    encoder_width: int = 76
    hidden_width: int = 76
    model_width: int = 76
    attention: str = "softmax"
    output: str = "pointer"
    input_dropout: float = 0.2
    dropout: float = 0.2
    pointer_dropout: float = 0.2
    max_answer: int = 16

    def __post_init__(self) -> None:
        for name in _COUNTS:
            check(name, getattr(self, name), "a whole number, 0 or more", is_whole(getattr(self, name), 0))
        for name in (*_SIZES, *_MORE_SIZES):
            check(name, getattr(self, name), "a whole number above 0", is_whole(getattr(self, name), 1))
        for name in _RATES:
            rate = getattr(self, name)
            check(name, rate, "at least 0 and below 1", is_number(rate) and 0 <= rate < 1)
        for name, options in (("graph", GRAPHS), ("attention", ATTENTIONS), ("output", OUTPUTS)):
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))
        kernel = f"at most max_chars ({self.max_chars})"
        check("char_kernel", self.char_kernel, kernel, self.char_kernel <= self.max_chars)
        self._check_alphabet()
        if not self.input_width:
            raise ValueError(Errors.G190)
        if self.attention == "square" and self.graph == "states":
            raise ValueError(Errors.G191)
        if self.graph != "none":
            self.transfer  # noqa: B018  # raises if graphs, mixture and fusion do not go together

    def _check_alphabet(self) -> None:
        letters = self.characters
        is_fine = isinstance(letters, str) and len(set(letters)) == len(letters)
        check("characters", letters, "an alphabet that lists each character once", is_fine)
        # A config file would take the two for the start of a reference to another value.
        check("characters", letters, "without { directly after $; sort the alphabet", "${" not in letters)

    @property
    def input_width(self) -> int:
        """Width of a token's word features: static vector, biLM and what is given."""
        static = self.word_width if self.n_words else 0
        return static + (self.elmo_width if self.elmo_layers else 0) + self.feature_width

    @property
    def n_characters(self) -> int:
        """Rows of the character table; 0 without characters."""
        return len(self.characters) + N_RESERVED_CHARACTERS if self.characters else 0

    @property
    def states_width(self) -> int:
        """Width of the encoder's states: both directions."""
        return 2 * self.encoder_width

    @property
    def transfer(self) -> TransferConfig:
        """How graphs carry word features or, for TRNN, states."""
        on_states = self.graph == "states"
        return TransferConfig(
            width=self.states_width if on_states else self.input_width,
            n_layers=self.graph_layers,
            n_heads=self.graph_heads,
            mixture=self.mixture,
            n_mixes=self.n_mixes,
            fusion="gate" if on_states else self.fusion,
            candidates=self.candidates or ("products" if on_states else None),
            graph="uniform" if self.graph == "uniform" else "learned",
        )

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "ReaderConfig":
        """Build from a config section; an unknown name is an error that lists the known ones."""
        check_names(cls, values)
        return cls(**values)
