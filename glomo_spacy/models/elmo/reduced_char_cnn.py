"""The character network with its products in bfloat16 or eight bits, without gradient.

The equations are those of `char_cnn.py`. Fewer and larger calls are what makes few bits worth while:

- All convolutions of a word are one product. A narrow filter is a wide one whose further weights are 0; it sees the
  same windows, because words are cut behind as many characters of padding as the widest filter has.
- The two products of a highway layer are one.

What follows a product, the maximum, the gates and the highways' sums, is computed in float32.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..precision import at_least_float32
from ..prepacked import Product, prepack

Affine = Tuple[Tensor, Tensor]  # weight (n_out, n_in), or more axes in a convolution, and bias (n_out,)


class CharWeights(NamedTuple):
    """The parameters of a `CharCNN`.

    table (Tensor): Vectors of characters. Shape: (n_characters, char_width).
    convolutions (Sequence[Affine]): Of each width. Shape of a weight: (count, char_width, filter width).
    highways (Sequence[Tuple[Affine, Affine]]): Transform and carry of each.
    projection (Sequence[Affine]): One, or none where filters are as many as the projection is wide.
    """

    table: Tensor
    convolutions: Sequence[Affine]
    highways: Sequence[Tuple[Affine, Affine]]
    projection: Sequence[Affine]


class ReducedCharCNN:
    """Two parts of the network, laid out once; later changes of the weights have no effect.

    weights (CharWeights): What to compute with.
    activation (str): "relu" or "tanh", after the maximum.
    precision (str): "bfloat16" or "int8".
    rows (Tuple[int, int]): Words that usually come at a time, for either part.
    """

    def __init__(self, weights: CharWeights, *, activation: str, precision: str, rows: Tuple[int, int]) -> None:
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self._is_int8 = precision == "int8"
        self._activation = torch.relu if activation == "relu" else torch.tanh
        self._table = weights.table.detach().to(self._dtype)
        self._widest = max(weight.shape[2] for weight, _ in weights.convolutions)
        widened = [F.pad(weight, (0, self._widest - weight.shape[2])) for weight, _ in weights.convolutions]
        joined = torch.cat(widened).transpose(1, 2).flatten(1)  # (n_filters, widest * char_width)
        self._convolve = self._lay_out(joined, None, rows[0] * self._widest)
        self._bias = torch.cat([bias.detach() for _, bias in weights.convolutions])  # (n_filters,)
        self._highways: List[Product] = []
        for both in weights.highways:
            weight, bias = (torch.cat(parts) for parts in zip(*both))  # (2 * n_filters, n_filters), (2 * n_filters,)
            self._highways.append(self._lay_out(weight, bias, rows[1]))
        self._projections = [self._lay_out(weight, bias, rows[1]) for weight, bias in weights.projection]

    def features(self, characters: Tensor) -> Tensor:
        """The strongest response of each filter anywhere in the words.

        characters (Tensor): Ids, with padding behind each word for the widest filter. Shape: (words, chars).
        RETURNS (Tensor): Shape: (words, n_filters).
        """
        char_width = self._table.shape[1]
        spelled = F.embedding(characters, self._table).flatten(1)  # (words, chars * char_width)
        windows = spelled.unfold(1, self._widest * char_width, char_width)  # (words, places, widest * char_width)
        responses = self._convolve(windows.flatten(0, 1)).view(*windows.shape[:2], -1)  # (words, places, n_filters)
        return self._activation(responses.amax(dim=1) + self._bias)

    def project(self, features: Tensor) -> Tensor:
        """Highway layers and projection.

        features (Tensor): Shape: (words, n_filters).
        RETURNS (Tensor): Shape: (words, projection).
        """
        for highway in self._highways:
            transform, carry = self._apply(highway, features).chunk(2, 1)  # (words, n_filters) each
            features = features.lerp(transform.relu_(), carry.sigmoid_())
        for projection in self._projections:
            features = self._apply(projection, features)
        return features

    def _apply(self, product: Product, values: Tensor) -> Tensor:
        return at_least_float32(product(values.to(self._dtype)))

    def _lay_out(self, weight: Tensor, bias: Optional[Tensor], rows: int) -> Product:
        bias = None if bias is None else bias.to(self._dtype)
        return prepack(weight.to(self._dtype), bias, rows=rows, is_int8=self._is_int8)
