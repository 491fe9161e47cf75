"""Vectors of words from their characters: convolutions, highway layers, projection.

Source: Kim et al. 2016 (arXiv 1508.06615), sections 2.2 and 2.3, as bilm-tf's `bilm/model.py` sizes it. With C the
characters of a word:

    f_k = act(max over positions (W_k * C + b_k))                        one number per filter, valid convolution
    y = g (*) relu(W_T x + b_T) + (1 - g) (*) x, g = sigma(W_C x + b_C)   each highway layer

Without gradient all products have fixed sizes, whatever words stand side by side: a library chooses its kernel by size,
and another kernel rounds otherwise. So the vector of a word is the same to the last bit in any company.
"""

import math
from itertools import pairwise
from typing import Any, Callable, Iterator, List, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..derived import Derived
from ..precision import PRECISIONS
from ..products import Linear, linear
from .config import ElmoConfig
from .reduced_char_cnn import Affine, CharWeights, ReducedCharCNN

CARRY_BIAS = -2.0  # a highway layer begins by passing most of its input on

# Words are convolved together with those of like length: up to these characters, marks included, or all there may be.
_LENGTHS = (6, 9, 12, 16, 24)
# Words per product without gradient: with fewer, small calls waste less; with more, large calls run faster.
_CONVOLVED, _PROJECTED = 16, 64
_ON_GPU = 32  # times as many


class Highway(nn.Module):
    """One highway layer.

    width (int): Of input and output.

    Parameters, with the HDF5 variables of bilm-tf they equal by transposing:

        transform.weight (width, width)    W_transform.T        transform.bias (width)    b_transform
        carry.weight (width, width)        W_carry.T            carry.bias (width)        b_carry
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = Linear(width, width)
        self.carry = Linear(width, width)
        for layer, bias in ((self.transform, 0.0), (self.carry, CARRY_BIAS)):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(width))
            nn.init.constant_(layer.bias, bias)

    def forward(self, values: Tensor) -> Tensor:
        """values (Tensor): Shape: (words, width). RETURNS (Tensor): The same shape."""
        gate = torch.sigmoid(self.carry(values))
        return gate * torch.relu(self.transform(values)) + (1 - gate) * values


class Filters(nn.Module):
    """Convolutions of one width and the strongest response of each anywhere in a word.

    char_width (int): Width of a character's vector.
    count (int): How many.
    width (int): Characters one sees.
    activation (str): "relu" or "tanh", after the maximum.
    """

    def __init__(self, char_width: int, count: int, width: int, *, activation: str) -> None:
        super().__init__()
        self.width = width
        self.activation = torch.relu if activation == "relu" else torch.tanh
        self.weight = nn.Parameter(torch.empty(count, char_width, width))
        self.bias = nn.Parameter(torch.zeros(count))
        if activation == "relu":
            nn.init.uniform_(self.weight, -0.05, 0.05)
        else:
            nn.init.normal_(self.weight, std=1 / math.sqrt(width * char_width))

    def forward(self, characters: Tensor, table: Tensor) -> Tensor:
        """Read words.

        characters (Tensor): Ids. Shape: (words, chars).
        table (Tensor): Vectors of characters. Shape: (n_characters, char_width).
        RETURNS (Tensor): Shape: (words, count).
        """
        windows = F.embedding(characters.unfold(1, self.width, 1), table).flatten(2)
        weight = self.weight.transpose(1, 2).flatten(1)  # (count, width * char_width), as windows: (words, places, …)
        return self.activation(linear(windows, weight, self.bias).amax(dim=1))


class CharCNN(nn.Module):
    """A vector for each word, from its characters alone.

    config (ElmoConfig): Filters, activation, highway layers and widths.

    Parameters, with the HDF5 variables of bilm-tf they equal by cutting axes of length 1 and transposing:

        embedding (n_characters - 1, char_width)              char_embed; row 0, "no token", is zero and not stored
        convolutions.{i}.weight (number, char_width, width)   CNN/W_cnn_i[0].transpose(2, 1, 0)
        convolutions.{i}.bias (number)                        CNN/b_cnn_i
        highways.{i}.…                                        CNN_high_i/…, see `Highway`
        projection.weight (projection, n_filters), .bias      CNN_proj/W_proj.T, b_proj; absent where both widths agree
    """

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Parameter(torch.empty(config.n_characters - 1, config.char_width).uniform_(-1, 1))
        self.convolutions = nn.ModuleList(
            Filters(config.char_width, count, width, activation=config.activation) for width, count in config.filters
        )
        self.highways = nn.ModuleList(Highway(config.n_filters) for _ in range(config.n_highway))
        self.projection = None
        if config.n_filters != config.projection_width:
            self.projection = Linear(config.n_filters, config.projection_width)
            nn.init.normal_(self.projection.weight, std=1 / math.sqrt(config.n_filters))
            nn.init.zeros_(self.projection.bias)
        self.precision = PRECISIONS[0]
        self._reduced: Derived[ReducedCharCNN] = Derived()

    def forward(self, characters: Tensor) -> Tensor:
        """Encode words, given in any order and trimmed to any width that holds the longest one.

        characters (Tensor): Ids as `CharIndexer` numbers them. Shape: (words, chars).
        RETURNS (Tensor): Shape: (words, projection).
        """
        if not len(characters):
            return self.embedding.new_zeros(0, self.config.projection_width)
        reduced = None
        if self.precision != PRECISIONS[0] and not torch.is_grad_enabled():
            reduced = self._reduced.get(self, self.precision, self._reduce)
        features, order = [], []
        for rows, spelled in self._by_length(characters):
            # The longest words, which are not cut, are rare and stay in float32.
            convolve = reduced.features if reduced and self._is_cut(spelled) else self._features
            features.append(_in_blocks(convolve, spelled, _CONVOLVED))
            order.append(rows)
        project = reduced.project if reduced else self._project
        vectors = _in_blocks(project, torch.cat(features), _PROJECTED)  # (words, projection), by length
        return vectors[torch.cat(order).argsort()]

    def _by_length(self, characters: Tensor) -> Iterator[Tuple[Tensor, Tensor]]:
        """Words of like length: their numbers, (words,), and ids cut to that length, (words, chars)."""
        padding, longest = self.config.n_characters - 1, self.config.max_characters
        characters = F.pad(characters, (0, longest - characters.shape[1]), value=padding)
        lengths = (characters != padding).sum(1)  # (words,)
        bounds = [0, *(length for length in _LENGTHS if length < longest), longest]
        for above, limit in pairwise(bounds):
            rows = ((lengths > above) & (lengths <= limit)).nonzero().squeeze(1)
            if len(rows):
                # A window of padding alone takes part in the published maximum; one stands for all further ones.
                yield rows, characters[rows, : min(limit + self._widest, longest)]

    @property
    def _widest(self) -> int:
        return max(width for width, _ in self.config.filters)

    def _is_cut(self, characters: Tensor) -> bool:
        """Whether words are cut, with padding behind each that the widest filter fits on."""
        return characters.shape[1] < self.config.max_characters

    @property
    def _table(self) -> Tensor:
        return F.pad(self.embedding, (0, 0, 1, 0))  # (n_characters, char_width)

    def _reduce(self) -> ReducedCharCNN:
        """The same network in `precision`."""
        convolutions = [_affine(filters) for filters in self.convolutions]
        highways = [(_affine(highway.transform), _affine(highway.carry)) for highway in self.highways]
        projection = [] if self.projection is None else [_affine(self.projection)]
        return ReducedCharCNN(
            CharWeights(self._table, convolutions, highways, projection),
            activation=self.config.activation,
            precision=self.precision,
            rows=(_CONVOLVED, _PROJECTED),
        )

    def _features(self, characters: Tensor) -> Tensor:
        """The strongest response of each filter anywhere in the words. Shape: (words, n_filters)."""
        table = self._table
        found: List[Tensor] = []
        for (width, _), filters in zip(self.config.filters, self.convolutions):
            n_seen = characters.shape[1] - (self._widest - width if self._is_cut(characters) else 0)
            found.append(filters(characters[:, :n_seen], table))  # (words, count)
        return torch.cat(found, dim=1)

    def _project(self, features: Tensor) -> Tensor:
        """Highway layers and projection. Shape: (words, projection)."""
        for highway in self.highways:
            features = highway(features)
        return features if self.projection is None else self.projection(features)


def _affine(layer: Any) -> Affine:
    return layer.weight, layer.bias


def _in_blocks(function: Callable[[Tensor], Tensor], values: Tensor, size: int) -> Tensor:
    """Apply row by row: with gradient at once, without in blocks of exactly `size` rows. Shape: (rows, ...)."""
    if torch.is_grad_enabled():
        return function(values)
    size *= 1 if values.device.type == "cpu" else _ON_GPU
    n_missing = -len(values) % size
    full = torch.cat([values, values[:1].expand(n_missing, *values.shape[1:])])
    return torch.cat([function(block) for block in full.split(size)])[: len(values)]
