"""Losses and seconds of a run, measured without making the processor wait for the GPU at each step."""

import time
from typing import Any, Dict, cast

import torch
from torch import Tensor

from .budget import Progress
from .devices import Fabric
from .interrupt import StopRequest


class LossMeter:
    """Means of the training loss, summed on the device and read when a line is due.

    fabric (Fabric): Means are over all its processes.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._sum = torch.zeros((), dtype=torch.float64, device=fabric.device)  # since the last reading
        self._count = 0
        self._interval_sum, self._interval_count = 0.0, 0  # since the last evaluation

    def add(self, loss: Tensor) -> None:
        """Take in the loss of one batch."""
        self._sum += loss
        self._count += 1

    def read(self) -> float:
        """Mean since the last reading. Waits for the device; every process must call it."""
        if not self._count:
            return self._interval_sum / max(self._interval_count, 1)
        total = self._mean_over_processes(self._sum)
        mean = total / self._count
        self._interval_sum += total
        self._interval_count += self._count
        self._sum.zero_()
        self._count = 0
        return mean

    def peek(self) -> float:
        """Mean since the last reading, which goes on; 0 before the first batch. Every process must call it."""
        return self._mean_over_processes(self._sum) / max(self._count, 1)

    def read_interval(self) -> float:
        """Mean since the last evaluation, which this call ends."""
        if self._count:
            self.read()
        mean = self._interval_sum / max(self._interval_count, 1)
        self._interval_sum, self._interval_count = 0.0, 0
        return mean

    def _mean_over_processes(self, value: Tensor) -> float:
        reduced = self._fabric.all_reduce(value.clone(), reduce_op="mean")
        return float(cast(Tensor, reduced))

    def state_dict(self) -> Dict[str, Any]:
        return {
            "sum": self._sum,
            "count": self._count,
            "interval_sum": self._interval_sum,
            "interval_count": self._interval_count,
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self._sum.copy_(state["sum"])
        self._count, self._interval_count = state["count"], state["interval_count"]
        self._interval_sum = state["interval_sum"]


class Clock:
    """Seconds in training steps, the same on all processes, so that rates and ends that hang on them agree.

    fabric (Fabric): With several processes the first one's time and anybody's wish to stop are shared when a line of
        the log is due, not at each step.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._pending = 0.0
        self._last = time.perf_counter()
        self._marked_tokens, self._marked_seconds = 0, 0.0
        self.is_stopping = False

    def start(self, progress: Progress) -> None:
        """Begin an interval: time since the last tick is not counted, and speed is measured from here."""
        self._last = time.perf_counter()
        self._marked_tokens, self._marked_seconds = progress.tokens, progress.seconds

    def tick(self, progress: Progress, stop: StopRequest, *, is_shared: bool) -> None:
        """Add the time since the last tick to `progress.seconds`."""
        now = time.perf_counter()
        self._pending += now - self._last
        self._last = now
        if self._fabric.world_size == 1:
            self.is_stopping = stop.is_set
        elif is_shared:
            values = torch.tensor([self._pending, float(stop.is_set)], dtype=torch.float64, device=self._fabric.device)
            self.is_stopping = bool(self._fabric.all_reduce(values[1], reduce_op="sum"))
            self._pending = float(self._fabric.broadcast(values[0]))
        else:
            return
        progress.seconds += self._pending
        self._pending = 0.0

    def speed(self, progress: Progress) -> float:
        """Tokens per second in this interval."""
        seconds = progress.seconds - self._marked_seconds
        return (progress.tokens - self._marked_tokens) / seconds if seconds > 0 else 0.0
