"""Sizes and variants of a biLM, by their meaning, and the released sizes by name.

Source: Peters et al. 2018 (arXiv 1802.05365), section 3.4, and the options.json of allenai/bilm-tf.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from ...errors import Errors
from ..config_checks import check, check_names, is_number, is_whole

TOKEN_ENCODERS = ("characters", "words")
ACTIVATIONS = ("relu", "tanh")
DIRECTIONS = ("both", "forward")
SOFTMAXES = ("none", "full", "adaptive")

# name: projection_width, cell_width, n_highway of the released models
SIZES: Dict[str, Tuple[int, int, int]] = {
    "small": (128, 1024, 1),
    "medium": (256, 2048, 1),
    "original": (512, 4096, 2),
}
RELEASED_FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))


@dataclass(frozen=True)
class ElmoConfig:
    """Everything needed to build a `BiLM`.

    token_encoder (str): "characters" (published: a CNN over the characters of each word) or "words" (a table of words,
        as models with token input have it).
    n_characters (int): Rows of the character table, row 0 included, which is zero and means "no token". Published: 262.
    max_characters (int): Characters of a word at most, its two marks included. Published: 50.
    char_width (int): Width of a character's vector. Published: 16.
    filters (Tuple[Tuple[int, int], ...]): Width and number of each group of convolutions.
    activation (str): "relu" (published) or "tanh", after the maximum over positions.
    n_highway (int): Highway layers, 0 for none. Published: 2, and 1 in the smaller models.
    vocab_size (Optional[int]): Words of the softmax, or of the table if `token_encoder` is "words". None if neither.
    projection_width (int): Width of token vectors and of what each direction gives.
    cell_width (int): Width of an LSTM's cell.
    n_layers (int): LSTM layers of each direction. Published: 2.
    cell (str): Which recurrent cell, by its name in `lstm.CELLS`. Published: "lstm".
    cell_options (Dict[str, Any]): Further settings of that cell: `MogrifierOptions` of "mogrifier", none of "lstm".
    cell_clip (Optional[float]): Cell states are clipped to +- this. None: not at all. Published: 3.
    proj_clip (Optional[float]): Projected outputs are clipped to +- this. None: not at all. Published: 3.
    use_skip_connections (bool): From the second layer on, add a layer's input to its output. Published: True.
    forget_bias (float): Added to the forget gate at run time, never stored. Published: 1.
    directions (str): "both" (published) or "forward", a plain language model.
    softmax (str): "none", "full" or "adaptive". It is needed in training and evaluation only.
    adaptive_cutoffs (Tuple[int, ...]): For "adaptive": rising ranks at which the rarer clusters begin.
    dropout (float): Share dropped of every cell's input and of the softmax's in training, 0-1. Published: 0.1.
    RAISES: ValueError G100 for an unknown choice, G101 for a value out of range.
    """

    token_encoder: str = "characters"
    n_characters: int = 262
    max_characters: int = 50
    char_width: int = 16
    filters: Tuple[Tuple[int, int], ...] = RELEASED_FILTERS
    activation: str = "relu"
    n_highway: int = 2
    vocab_size: Optional[int] = None
    projection_width: int = 512
    cell_width: int = 4096
    n_layers: int = 2
    cell: str = "lstm"
    cell_options: Dict[str, Any] = field(default_factory=dict)
    cell_clip: Optional[float] = 3.0
    proj_clip: Optional[float] = 3.0
    use_skip_connections: bool = True
    forget_bias: float = 1.0
    directions: str = "both"
    softmax: str = "none"
    adaptive_cutoffs: Tuple[int, ...] = ()
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n_characters", "max_characters", "char_width", "projection_width", "cell_width", "n_layers"):
            check(name, getattr(self, name), "a whole number above 0", is_whole(getattr(self, name), 1))
        check("n_highway", self.n_highway, "a whole number, 0 or more", is_whole(self.n_highway, 0))
        for name, options in (
            ("token_encoder", TOKEN_ENCODERS),
            ("activation", ACTIVATIONS),
            ("directions", DIRECTIONS),
            ("softmax", SOFTMAXES),
        ):
            if getattr(self, name) not in options:
                raise ValueError(Errors.G100.format(name=name, value=getattr(self, name), options=", ".join(options)))
        for name in ("cell_clip", "proj_clip"):
            clip = getattr(self, name)
            check(name, clip, "a number above 0, or null for none", clip is None or is_number(clip) and clip > 0)
        check("forget_bias", self.forget_bias, "a number", is_number(self.forget_bias))
        is_rate = is_number(self.dropout) and 0 <= self.dropout < 1
        check("dropout", self.dropout, "at least 0 and below 1", is_rate)
        self._take_filters()
        self._check_vocabulary()

    def _take_filters(self) -> None:
        """Lists, as config files hold them, become tuples."""
        expected = f"pairs of width (at most {self.max_characters} characters) and number, such as [[1, 32], [2, 64]]"
        try:
            filters = tuple((width, count) for width, count in self.filters)
        except (TypeError, ValueError):
            filters = ()
        is_fine = bool(filters) or self.token_encoder == "words"
        for width, count in filters:
            is_fine = is_fine and is_whole(width, 1) and width <= self.max_characters and is_whole(count, 1)
        check("filters", self.filters, expected, is_fine)
        object.__setattr__(self, "filters", filters)

    def _check_vocabulary(self) -> None:
        needs_words = self.token_encoder == "words" or self.softmax != "none"
        size = self.vocab_size
        expected = "the number of words" if needs_words else "a number of words, or null"
        check("vocab_size", size, expected, (not needs_words) if size is None else is_whole(size, 1))
        cutoffs = tuple(self.adaptive_cutoffs)
        is_rising = all(is_whole(rank, 1) for rank in cutoffs) and all(a < b for a, b in zip(cutoffs, cutoffs[1:]))
        is_fine = is_rising and (not cutoffs or size is None or cutoffs[-1] < size)
        if self.softmax == "adaptive":
            is_fine = is_fine and bool(cutoffs)
        check(
            "adaptive_cutoffs", cutoffs, "rising ranks below vocab_size, at least one for an adaptive softmax", is_fine
        )
        object.__setattr__(self, "adaptive_cutoffs", cutoffs)
        object.__setattr__(self, "cell_options", dict(self.cell_options))

    @property
    def n_filters(self) -> int:
        """Convolutions of all widths together: the width of the highway layers."""
        return sum(count for _, count in self.filters)

    @property
    def width(self) -> int:
        """Width of a layer's vectors: both directions side by side."""
        return self.projection_width * (2 if self.directions == "both" else 1)

    @classmethod
    def sized(cls, name: str, **changes: Any) -> "ElmoConfig":
        """A released size: "small" (13.6 M parameters), "medium" (28.0 M) or "original" (93.6 M).

        changes (Any): Fields that shall differ.
        RAISES: ValueError G100 for another name.
        """
        if name not in SIZES:
            raise ValueError(Errors.G100.format(name="size", value=name, options=", ".join(SIZES)))
        projection_width, cell_width, n_highway = SIZES[name]
        sizes = {"projection_width": projection_width, "cell_width": cell_width, "n_highway": n_highway}
        return cls(**{**sizes, **changes})

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "ElmoConfig":
        """Build from a config section; an unknown name is an error that lists the known ones."""
        check_names(cls, values)
        return cls(**values)
