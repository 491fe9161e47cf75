"""Mixtures: how much each candidate graph counts, for each direction and mix.

Source: Yang et al. 2018, "Latent Graph Transfer", and option `condition` of kimiyoung/glomo's reader.
"""

import math
from typing import Dict, Tuple, Type

import torch
from torch import Tensor, nn

from ..dropout import locked_dropout

Shape = Tuple[int, int, int, int]  # directions, mixes, candidates, heads


class Mixture(nn.Module):
    """Weights of the candidate graphs for each direction and mix; subclasses are the named variants.

    shape (Tuple[int, int, int, int]): Directions, mixes, candidates, heads.
    width (int): Width of the features that choose.
    """

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        """Weights as `candidates.mix_graphs` takes them.

        features (Tensor): Shape: (batch, seq, width).
        dropout (float): Rate in training, 0 in prediction.
        """
        raise NotImplementedError


class UniformMixture(Mixture):
    """Every candidate counts the same; nothing is learned."""

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        n_candidates, n_heads = self.shape[2:]
        return features.new_full(self.shape, 1.0 / (n_candidates * n_heads))  # (directions, mixes, candidates, heads)


class FreeMixture(Mixture):
    """One learned mixture for all positions (`condition 0`): softmax over free logits, initially 0."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__(shape, width)
        self.logits = nn.Parameter(torch.zeros(shape))

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        return self.logits.flatten(2).softmax(-1).view(self.shape)  # (directions, mixes, candidates, heads)


class ConditionedMixture(Mixture):
    """Each position has its own mixture (`condition 1`): softmax of Linear(locked dropout(x_i))."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__(shape, width)
        self.logits = nn.Linear(width, math.prod(shape))

    def forward(self, features: Tensor, *, dropout: float) -> Tensor:
        logits = self.logits(locked_dropout(features, dropout, is_train=dropout > 0.0))
        logits = logits.unflatten(-1, (*self.shape[:2], -1))  # (batch, seq, directions, mixes, candidates * heads)
        return logits.softmax(-1).unflatten(-1, self.shape[2:])  # (batch, seq, directions, mixes, candidates, heads)


MIXTURES: Dict[str, Type[Mixture]] = {
    "uniform": UniformMixture,
    "free": FreeMixture,
    "conditioned": ConditionedMixture,
}
