"""Vectors of words from their characters: convolutions, highway layers, projection.

Source: Kim et al. 2016 (arXiv 1508.06615), sections 2.2 and 2.3, as bilm-tf's `bilm/model.py` sizes it. With C the
characters of a word:

    f_k = act(max over positions (W_k * C + b_k))                   one number per filter, valid convolution
    y = g (*) relu(W_T x + b_T) + (1 - g) (*) x, g = sigma(W_C x + b_C)   each highway layer
"""

import math
from typing import List

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..products import Linear
from .config import ElmoConfig

CARRY_BIAS = -2.0  # a highway layer begins by passing most of its input on


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
        self.convolutions = nn.ModuleList(nn.Conv1d(config.char_width, count, width) for width, count in config.filters)
        self.highways = nn.ModuleList(Highway(config.n_filters) for _ in range(config.n_highway))
        self.projection = None
        if config.n_filters != config.projection_width:
            self.projection = Linear(config.n_filters, config.projection_width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The laws bilm-tf begins with; `Highway` has its own."""
        for convolution in self.convolutions:
            if self.config.activation == "relu":
                nn.init.uniform_(convolution.weight, -0.05, 0.05)
            else:
                _, n_inputs, width = convolution.weight.shape
                nn.init.normal_(convolution.weight, std=1 / math.sqrt(width * n_inputs))
            nn.init.zeros_(convolution.bias)
        if self.projection is not None:
            nn.init.normal_(self.projection.weight, std=1 / math.sqrt(self.config.n_filters))
            nn.init.zeros_(self.projection.bias)

    def forward(self, characters: Tensor) -> Tensor:
        """Encode words, given in any order and trimmed to any width that holds the longest one.

        characters (Tensor): Ids as `CharIndexer` numbers them. Shape: (words, chars).
        RETURNS (Tensor): Shape: (words, projection).
        """
        if not len(characters):
            return self.embedding.new_zeros(0, self.config.projection_width)
        features = self.features(characters)  # (words, n_filters)
        for highway in self.highways:
            features = highway(features)
        return features if self.projection is None else self.projection(features)

    def features(self, characters: Tensor) -> Tensor:
        """The strongest response of each filter anywhere in the word. Shape: (words, n_filters)."""
        trimmed = characters.shape[1]
        longest = min(trimmed + max(width for width, _ in self.config.filters), self.config.max_characters)
        characters = F.pad(characters, (0, max(longest - trimmed, 0)), value=self.config.n_characters - 1)
        table = F.pad(self.embedding, (0, 0, 1, 0))  # (n_characters, char_width)
        embedded = F.embedding(characters, table).transpose(1, 2)  # (words, char_width, chars)
        activation = torch.relu if self.config.activation == "relu" else torch.tanh
        responses: List[Tensor] = []
        for (width, _), convolution in zip(self.config.filters, self.convolutions):
            # Padding takes part in the published maximum: one window of padding alone stands for all further ones.
            seen = embedded[:, :, : min(trimmed + width, self.config.max_characters)]
            responses.append(activation(convolution(seen).amax(dim=2)))  # (words, number)
        return torch.cat(responses, dim=1)
