"""Averages of weights: what training would settle on if its steps were smaller. Choices by name: `AVERAGES`.

Sources: Polyak and Juditsky 1992; the exponential form as in Kingma and Ba 2015, section 7.2, without bias correction
since the average starts at the weights themselves; the triggered ones as in their docstrings.
"""

from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Type

import torch
from torch import Tensor, nn

from ..errors import Errors


class WeightAverage(ABC):
    """An average of a model's trained parameters; frozen ones and buffers stay the model's own.

    model (nn.Module): Its parameters now are the start.
    """

    def __init__(self, model: nn.Module) -> None:
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._names, self._weights = list(trained), list(trained.values())
        self._averages = [parameter.detach().clone() for parameter in self._weights]

    @property
    def is_used(self) -> bool:
        """Whether there is an average yet; until then the weights themselves are evaluated and kept."""
        return True

    @abstractmethod
    def update(self) -> None:
        """Take in the weights after a step."""

    def after_evaluation(self, loss: float) -> None:  # noqa: B027  # most do not care
        """Hear the held-out loss."""

    @torch.no_grad()
    def restart(self) -> None:
        """Begin again from the weights as they are now."""
        for weight, average in zip(self._weights, self._averages):
            average.copy_(weight)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the average into the model for the block, then the weights back."""
        is_used = self.is_used
        self._exchange(is_used)
        try:
            yield
        finally:
            self._exchange(is_used)

    def state_dict(self) -> Dict[str, Tensor]:
        """The average by name of the parameter."""
        return dict(zip(self._names, self._averages))

    @torch.no_grad()
    def load_state_dict(self, state: Dict[str, Tensor]) -> None:
        """Undo `state_dict`."""
        for name, average in zip(self._names, self._averages):
            average.copy_(state[name])

    def progress(self) -> Dict[str, Any]:
        """What else it remembers, in values that JSON can hold."""
        return {}

    def load_progress(self, values: Dict[str, Any]) -> None:  # noqa: B027  # most remember nothing
        """Undo `progress`."""

    @torch.no_grad()
    def _mix(self, share: float) -> None:
        """Move the average towards the weights by a share of the way."""
        torch._foreach_lerp_(self._averages, [weight.detach() for weight in self._weights], share)

    @torch.no_grad()
    def _exchange(self, is_used: bool) -> None:
        for weight, average in zip(self._weights, self._averages) if is_used else ():
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)


class NoAverage(WeightAverage):
    """The weights themselves."""

    def __init__(self) -> None:
        super().__init__(nn.Module())

    def update(self) -> None:
        """There is nothing to take in."""


class ExponentialAverage(WeightAverage):
    """Of which a fixed share is kept per update.

    decay (float): That share, 0-1.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        super().__init__(model)
        self._decay = decay

    def update(self) -> None:
        self._mix(1 - self._decay)


class MeanAverage(WeightAverage):
    """The plain mean of the weights after each step since `trigger` saw reason for it.

    trigger (Trigger): Hears every held-out loss.
    """

    def __init__(self, model: nn.Module, *, trigger: "Trigger") -> None:
        super().__init__(model)
        self._trigger = trigger
        self._is_on = False
        self._n_steps = 0
        self._losses: List[float] = []

    @property
    def is_used(self) -> bool:
        return self._n_steps > 0

    def update(self) -> None:
        if self._is_on:
            self._n_steps += 1
            self._mix(1 / self._n_steps)

    def after_evaluation(self, loss: float) -> None:
        self._is_on = self._is_on or self._trigger.is_due(self._losses, loss)
        self._losses.append(loss)

    def progress(self) -> Dict[str, Any]:
        return {"is_on": self._is_on, "n_steps": self._n_steps, "losses": self._losses}

    def load_progress(self, values: Dict[str, Any]) -> None:
        self._is_on, self._n_steps = bool(values["is_on"]), int(values["n_steps"])
        self._losses = list(values["losses"])


@dataclass
class Trigger:
    """[pretraining.average]: when the mean of the weights begins.

    patience (int): Evaluations that tell whether the held-out loss stands still. At least 1.
    """

    patience: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 1:
                name = f"pretraining.average.{name}"
                raise ValueError(Errors.G141.format(name=name, expected="at least 1", value=value))

    def is_due(self, losses: List[float], loss: float) -> bool:
        """Whether averaging begins with the next step.

        losses (List[float]): Of the evaluations before this one.
        loss (float): Of this one.
        """
        raise NotImplementedError


@dataclass
class StagnationTrigger(Trigger):
    """Begin when so many evaluations in a row were no new best ones (deepmind/lamb, Melis et al. 2020).

    patience (int): So many. Published: 50.
    at_latest (Optional[int]): Begin at the evaluation of this number in any case; somewhat below that of the last one,
        so that every run gains by averaging. Published: 800 of 1000. null: not before the loss stands still.
    """

    at_latest: Optional[int]

    def is_due(self, losses: List[float], loss: float) -> bool:
        if self.at_latest is not None and len(losses) + 1 >= self.at_latest:
            return True
        seen = [*losses, loss]
        return len(seen) - 1 - seen.index(min(seen)) >= self.patience


@dataclass
class NonMonotoneTrigger(Trigger):
    """Begin when an evaluation is worse than the best of those more than `patience` before it: NT-ASGD (Merity et al.
    2018, algorithm 1), if the optimiser is plain SGD.

    patience (int): The paper's n. Published: 5.
    """

    def is_due(self, losses: List[float], loss: float) -> bool:
        return len(losses) > self.patience and loss > min(losses[: -self.patience])


AVERAGES: Dict[str, Type[Trigger]] = {"stagnation": StagnationTrigger, "non-monotone": NonMonotoneTrigger}


def build_average(model: nn.Module, *, decay: Optional[float], trigger: Optional[Trigger]) -> WeightAverage:
    """The average that a run keeps of a model.

    decay (Optional[float]): Of an exponential average. None: it is none.
    trigger (Optional[Trigger]): Of a plain mean. None: it is none.
    """
    if trigger is not None:
        return MeanAverage(model, trigger=trigger)
    return NoAverage() if decay is None else ExponentialAverage(model, decay=decay)
