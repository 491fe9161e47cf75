"""How the learning rate moves: over the budget of the run, or by what the held-out loss does.

A schedule gives a factor on the optimiser's `learn_rate`. Its place is the share of the budget that is used, 0 to 1,
so that the same schedule fits a run limited by tokens, steps, epochs or seconds. Choices by name: `SCHEDULES`.
"""

import math
from dataclasses import dataclass
from typing import Dict, Type

from ..errors import Errors


@dataclass
class Schedule:
    """Constant after the warm-up; the others change the rest.

    warmup (float): Share of the budget over which the rate rises linearly from 0, 0-1. Keeps the first large steps
        from damaging embeddings or a warm start.
    """

    warmup: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("warmup", "hold", "floor", "stop_below") and not 0 <= value <= 1:
                raise ValueError(
                    Errors.G141.format(name=f"pretraining.schedule.{name}", expected="from 0 to 1", value=value)
                )

    def factor(self, used: float) -> float:
        """Factor on the learning rate when the share `used` of the budget is spent."""
        return used / self.warmup if used < self.warmup else self._after_warmup(used)

    def after_evaluation(self, *, improved: bool) -> None:
        """Hear whether the held-out loss is the best so far."""

    @property
    def is_finished(self) -> bool:
        """Whether the schedule itself ends the run."""
        return False

    def state_dict(self) -> Dict[str, float]:
        return {}

    def load_state_dict(self, state: Dict[str, float]) -> None:
        pass

    def _after_warmup(self, used: float) -> float:
        return 1.0


@dataclass
class LinearSchedule(Schedule):
    """Constant until the share `hold` of the budget is used, then a straight line down to `floor`.

    hold (float): Share of the budget, 0-1, not below `warmup`.
    floor (float): Factor at the end, 0-1.
    """

    hold: float
    floor: float

    def _after_warmup(self, used: float) -> float:
        start = max(self.hold, self.warmup)
        if used <= start:
            return 1.0
        return self.floor + (1 - self.floor) * max(1 - used, 0.0) / (1 - start)


@dataclass
class CosineSchedule(Schedule):
    """Half a cosine from 1 at the end of the warm-up down to `floor` (Loshchilov & Hutter 2017, one period).

    floor (float): Factor at the end, 0-1.
    """

    floor: float

    def _after_warmup(self, used: float) -> float:
        position = min((used - self.warmup) / (1 - self.warmup), 1.0) if self.warmup < 1 else 1.0
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * position))


@dataclass
class PatienceSchedule(Schedule):
    """Divide the rate whenever the held-out loss stands still, and stop once it is small: the published recipe.

    patience (int): Evaluations without a new best before the rate is divided. Published: 3.
    decay (float): What it is divided by. Published: 2.
    stop_below (float): The run ends when the factor is below this. Published: 0.01.
    """

    patience: int
    decay: float
    stop_below: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._scale = 1.0
        self._waited = 0

    def after_evaluation(self, *, improved: bool) -> None:
        self._waited = 0 if improved else self._waited + 1
        if self._waited >= self.patience:
            self._scale /= self.decay
            self._waited = 0

    @property
    def is_finished(self) -> bool:
        return self._scale < self.stop_below

    def state_dict(self) -> Dict[str, float]:
        return {"scale": self._scale, "waited": self._waited}

    def load_state_dict(self, state: Dict[str, float]) -> None:
        self._scale, self._waited = float(state["scale"]), int(state["waited"])

    def _after_warmup(self, used: float) -> float:
        return self._scale


SCHEDULES: Dict[str, Type[Schedule]] = {
    "constant": Schedule,
    "linear": LinearSchedule,
    "cosine": CosineSchedule,
    "patience": PatienceSchedule,
}
