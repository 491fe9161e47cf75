"""Processes that share work: none is left behind, however it ends."""

import os
import signal
from queue import Empty
from typing import Any, List

import pytest

from glomo_spacy.cli._workers import run_workers
from glomo_spacy.errors import Errors


class Worker:
    """Looks like a process that works until it is told to stop."""

    exitcode = None

    def __init__(self, action: Any = None) -> None:
        self.action = action
        self.is_running = False
        self.was_terminated = False

    def start(self) -> None:
        self.is_running = True
        if self.action:
            self.action()

    def is_alive(self) -> bool:
        return self.is_running

    def terminate(self) -> None:
        self.is_running, self.was_terminated = False, True

    def join(self, timeout: float) -> None:
        pass


class Messages:
    """Looks like a queue of what they report."""

    def __init__(self, *messages: Any) -> None:
        self.left = list(messages)

    def get(self, timeout: float) -> Any:
        if not self.left:
            raise Empty
        return self.left.pop(0)


def test_sigterm_ends_the_processes_and_is_itself_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    workers = [Worker(), Worker(lambda: os.kill(os.getpid(), signal.SIGTERM))]
    with pytest.raises(SystemExit) as stopped:
        run_workers(workers, Messages(), print, error="")
    assert stopped.value.code == 143
    assert [worker.was_terminated for worker in workers] == [True, True]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_of_one_process_ends_the_others() -> None:
    seen: List[Any] = []
    workers = [Worker(), Worker()]
    with pytest.raises(ValueError, match="full"):
        run_workers(workers, Messages("a", "b", ValueError("full"), "c"), seen.append, error="")
    assert seen == ["a", "b"]
    assert all(worker.was_terminated for worker in workers)


def test_a_process_of_training_that_dies_is_named() -> None:
    dead = Worker()
    dead.exitcode = -9  # type: ignore[assignment]
    with pytest.raises(
        RuntimeError, match=r"\[G973\] A process that trained ended with -9\. It may have run out of mem"
    ):
        run_workers([dead], Messages(), print, error=Errors.G973)
