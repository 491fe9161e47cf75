"""What a biLM remembers between calls: the states of both directions, row by row."""

from typing import Callable, NamedTuple, Optional

import torch
from torch import Tensor

from .lstm import State


class BiLMState(NamedTuple):
    """The states of both directions; the backward part is None in a forward-only model.

    Every tensor in them has the shape (layers, batch, …).
    """

    forward: State
    backward: Optional[State]

    def map(self, function: Callable[[Tensor], Tensor]) -> "BiLMState":
        """Apply to each tensor of both directions."""
        forward = type(self.forward)(*map(function, self.forward))
        return BiLMState(forward, None if self.backward is None else type(self.backward)(*map(function, self.backward)))

    def expand(self, n_rows: int) -> "BiLMState":
        """The state of a single row, for each of several rows."""
        return self.map(lambda values: values.expand(-1, n_rows, -1))

    def first_rows(self, n_rows: int) -> "BiLMState":
        """The state of the first rows; rows that are not there yet begin at zero."""

        def take(values: Tensor) -> Tensor:
            n_new = max(n_rows - values.shape[1], 0)
            return torch.cat([values[:, :n_rows], values.new_zeros(len(values), n_new, values.shape[2])], dim=1)

        return self.map(take)

    def and_rest_of(self, earlier: Optional["BiLMState"]) -> "BiLMState":
        """These rows, and those behind them in an earlier state."""
        if earlier is None:
            return self
        rest = iter([tensor for state in earlier if state is not None for tensor in state])

        def join(values: Tensor) -> Tensor:
            return torch.cat([values, next(rest)[:, values.shape[1] :]], dim=1)

        return self.map(join)
