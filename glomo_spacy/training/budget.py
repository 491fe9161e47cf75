"""How far a run is, and how much of its budget that uses."""

from dataclasses import dataclass
from typing import Optional

from .config import Pretraining


@dataclass
class Progress:
    """How far a run is; part of its state.

    step (int): Updates of the weights.
    tokens (int): Tokens in all windows seen, over all processes.
    epoch (float): Passes over the training text.
    seconds (float): Time in training steps, earlier sessions included, evaluation and saving not.
    best_loss (Optional[float]): Held-out loss of the best evaluation; None before the first one.
    best_step (int): The step it was measured at.
    evaluated_step (int): The step of the last evaluation.
    n_worse (int): Evaluations since the best one.
    best_score (Optional[float]): Score of the best evaluation, if the objective has one; else the loss tells the best.
    """

    step: int = 0
    tokens: int = 0
    epoch: float = 0.0
    seconds: float = 0.0
    best_loss: Optional[float] = None
    best_step: int = 0
    evaluated_step: int = 0
    n_worse: int = 0
    best_score: Optional[float] = None

    def has_stalled(self, patience: Optional[int]) -> bool:
        """Whether so many evaluations in a row were no best ones; None: no number is too many."""
        return patience is not None and self.n_worse >= patience

    def note(self, loss: float, score: Optional[float] = None) -> bool:
        """Take in the held-out loss of this step; tells whether it is the best so far.

        loss (float): Lower is better, where there is no score.
        score (Optional[float]): Higher is better; None: the objective has none.
        """
        if score is not None:
            is_best = self.best_score is None or score > self.best_score
        else:
            is_best = self.best_loss is None or loss < self.best_loss
        if is_best:
            self.best_loss, self.best_score, self.best_step = loss, score, self.step
        self.n_worse = 0 if is_best else self.n_worse + 1
        self.evaluated_step = self.step
        return is_best


@dataclass(frozen=True)
class Budget:
    """The limits of a run; None: no such limit. The first one that is reached counts.

    epochs, tokens, steps, seconds: As in `Progress`.
    """

    epochs: Optional[float]
    steps: Optional[int]
    tokens: Optional[int]
    seconds: Optional[float]

    @classmethod
    def from_settings(cls, settings: Pretraining) -> "Budget":
        """The limits of the [pretraining] section."""
        return cls(settings.max_epochs, settings.max_steps, settings.max_tokens, settings.max_seconds)

    def used(self, progress: Progress) -> float:
        """Share of the budget that is used; 1 or more means it is spent."""
        return max(
            0.0 if self.epochs is None else progress.epoch / self.epochs,
            0.0 if self.steps is None else progress.step / self.steps,
            0.0 if self.tokens is None else progress.tokens / self.tokens,
            0.0 if self.seconds is None else progress.seconds / self.seconds,
        )

    def seconds_left(self, progress: Progress) -> Optional[float]:
        """Estimate from the pace so far; None before the first step."""
        used = self.used(progress)
        return progress.seconds * max(1 - used, 0.0) / used if used else None
