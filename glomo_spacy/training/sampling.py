"""Negatives for a sampled soft-max: distinct words from a log-uniform law over ranks.

Source: TensorFlow's `log_uniform_candidate_sampler` with `unique = True`, as bilm-tf trains with.
"""

import math

import torch

from ..models.softmax import Negatives


class LogUniformSampler:
    """Draw ranks with probability log((rank + 2) / (rank + 1)) / log(V + 1) until enough different ones are found.

    vocab_size (int): V, words by falling count.
    n_negatives (int): Distinct words per batch; as many as there are if it is not below V.
    """

    def __init__(self, vocab_size: int, *, n_negatives: int) -> None:
        self.vocab_size = vocab_size
        self.n_negatives = min(n_negatives, vocab_size)

    def draw(self, generator: torch.Generator) -> Negatives:
        """The negatives of one batch. Only the generator decides them."""
        if self.n_negatives == self.vocab_size:
            return Negatives(torch.arange(self.vocab_size), torch.tensor(math.inf, dtype=torch.float64))
        draws = torch.empty(0, dtype=torch.int64)
        while True:
            places = torch.rand(2 * self.n_negatives, dtype=torch.float64, generator=generator)
            ranks = (places * math.log(self.vocab_size + 1)).exp().long() - 1
            draws = torch.cat([draws, ranks.clamp_(0, self.vocab_size - 1)])  # rounding may reach V
            ids, first = _first_places(draws)
            if len(ids) >= self.n_negatives:
                break
        last = first.sort().values[self.n_negatives - 1]  # the draw that found the last one needed
        return Negatives(ids[first <= last], (last + 1).double())


def _first_places(draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distinct values in ascending order, and where each stands first. Shapes: (distinct,)."""
    values, order = draws.sort(stable=True)
    is_first = torch.ones_like(values, dtype=torch.bool)
    is_first[1:] = values[1:] != values[:-1]
    return values[is_first], order[is_first]
