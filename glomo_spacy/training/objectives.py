"""What a run learns, by name: its model, its batches, its loss, its evaluation. One class per method: `OBJECTIVES`.

The loop knows none of them. A new method adds one subclass of `Objective` in a file of its own and one line here.
"""

import sys
from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Optional, Tuple

import torch
from torch import Tensor, nn

from ..errors import Errors

Batch = Tuple[Tensor, ...]

OBJECTIVES: Dict[str, Tuple[str, str]] = {
    "glomo": (".glomo", "GlomoObjective"),
    "elmo": (".elmo", "ElmoObjective"),
    "mogrifier": (".mogrifier", "MogrifierObjective"),
    "reader": (".reader", "ReaderObjective"),
}


def build_objective(config: Mapping[str, Any], *, seed: int, rank: int = 0, world_size: int = 1) -> "Objective":
    """Make the objective that `pretraining.objective.name` chooses; arguments as for `Objective`.

    RAISES: ValueError G100 for a name that is not in the table; else as the objective.
    """
    name = config["pretraining"]["objective"].get("name")
    if name not in OBJECTIVES:
        options = ", ".join(OBJECTIVES)
        raise ValueError(Errors.G100.format(name="pretraining.objective.name", value=name, options=options))
    module, class_name = OBJECTIVES[name]
    objective: Objective = getattr(import_module(module, __package__), class_name)(
        config, seed=seed, rank=rank, world_size=world_size
    )
    return objective


class Batches(ABC):
    """An endless iterator over training batches that can be stopped and continued exactly."""

    def __iter__(self) -> Iterator[Batch]:
        return self

    @abstractmethod
    def __next__(self) -> Batch:
        """The next batch, on the CPU; its first tensor has one entry per token."""

    @property
    @abstractmethod
    def epoch(self) -> float:
        """Passes over the training text so far."""

    @property
    def rate_factor(self) -> float:
        """Factor on the learning rate for the last batch, such as its share of the usual length."""
        return 1.0

    @abstractmethod
    def state_dict(self) -> Dict[str, Any]:
        """Position in the data and state of every random generator."""

    @abstractmethod
    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue from there."""


class Objective(ABC):
    """Everything the loop asks of a method.

    config (Mapping[str, Any]): The whole config; the objective reads [model], [corpora] and its own sub-sections.
    seed (int): Start of its random sequences.
    rank, world_size (int): Which of how many processes this is; batches are divided among them.
    """

    kind: ClassVar[str]  # the name in configs, and the kind of the checkpoint

    model: nn.Module
    loss: nn.Module  # its call on a batch gives the scalar loss; holds `model`
    batches: Batches
    vocab: Optional[List[str]]
    indexer: Dict[str, Any]
    corpus_record: Dict[str, Any]  # how the text was prepared, for meta.json
    provenance: str  # what the text is and its licence, in the user's words
    shown: ClassVar[str] = "perplexity"  # the measure that the table shows beside the loss
    worst_loss: float = sys.float_info.max  # a run whose loss is above it has come apart, and is stopped

    @abstractmethod
    def __init__(self, config: Mapping[str, Any], *, seed: int, rank: int = 0, world_size: int = 1) -> None: ...

    @abstractmethod
    def evaluate(self, device: torch.device) -> Dict[str, Any]:
        """Measure `self.model`, in evaluation mode, on held-out text. Must hold `loss` and what `shown` names."""

    def score(self, measures: Dict[str, Any]) -> Optional[float]:
        """What the best model has most of; None: the best one has the lowest loss."""
        return None

    def state_dict(self) -> Dict[str, Any]:
        """What this process's loss remembers from one batch to the next, in values that training state can hold."""
        return {}

    def load_state_dict(self, state: Dict[str, Any]) -> None:  # noqa: B027  # most remember nothing
        """Undo `state_dict`."""

    def warnings(self, measures: Dict[str, Any]) -> Optional[str]:
        """What is wrong with a model that gave these measures, in one line; raises if the run should stop."""
        return None
