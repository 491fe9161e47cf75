"""An exponential moving average of weights: what training would settle on if its steps were smaller.

Source: Polyak and Juditsky 1992; the exponential form as in Kingma and Ba 2015, section 7.2, without bias correction
since the average starts at the weights themselves.
"""

from contextlib import contextmanager
from typing import Dict, Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a model's parameters; buffers stay the model's own.

    model (nn.Module): Its parameters now are the start.
    decay (float): Share of the average kept per update, 0-1.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self._names = [name for name, _ in model.named_parameters()]
        self._weights = [parameter for _, parameter in model.named_parameters()]
        self._averages = [parameter.detach().clone() for parameter in self._weights]
        self._decay = decay

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights."""
        torch._foreach_lerp_(self._averages, [weight.detach() for weight in self._weights], 1 - self._decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for the block, then the weights back."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def state_dict(self) -> Dict[str, Tensor]:
        return dict(zip(self._names, self._averages))

    @torch.no_grad()
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        for name, average in zip(self._names, self._averages):
            average.copy_(state[name])

    @torch.no_grad()
    def _exchange(self) -> None:
        for weight, average in zip(self._weights, self._averages):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
