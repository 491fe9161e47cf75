"""Processes that share work: start them, hear what they report, end them; one thread each."""

import queue
import signal
import sys
import threading
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Sequence

_PATIENCE = 0.2  # seconds between looks at whether all processes are alive
_TIME_TO_END = 2.0  # seconds a process has to remove its unfinished file before it is asked again


def run_workers(workers: Sequence[Any], messages: Any, handle: Callable[[Any], Any], *, error: str) -> None:
    """Start processes and pass on what they report until all have ended. None is left, however this ends.

    workers (Sequence[Process]): The processes, not yet started.
    messages, handle, error: As for `listen`.
    """
    with _exit_on_term():
        try:
            for worker in workers:
                worker.start()
            listen(workers, messages, handle, error=error)
        finally:
            end(workers)


def listen(workers: Sequence[Any], messages: Any, handle: Callable[[Any], Any], *, error: str) -> None:
    """Pass on what other processes report until all have ended; an error of one is raised here.

    workers (Sequence[Process]): The processes.
    messages (Queue): Where they put what they report: exceptions, or anything else.
    handle (Callable[[Any], Any]): Called with each report.
    error (str): Text of the RuntimeError if a process ends with another code than 0, which it names as {code}.
    """
    while True:
        alive = any(worker.is_alive() for worker in workers)
        try:
            message = messages.get(timeout=_PATIENCE)
        except queue.Empty:
            failed = [worker.exitcode for worker in workers if worker.exitcode]
            if failed:
                raise RuntimeError(error.format(code=failed[0])) from None
            if not alive:
                return
            continue
        if isinstance(message, Exception):
            raise message
        handle(message)


def end(workers: Sequence[Any]) -> None:
    """End processes and wait for it. One asked within a library's callback, which swallows the exit, is asked again."""
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(_TIME_TO_END)


@contextmanager
def _exit_on_term() -> Iterator[None]:
    """Make SIGTERM an exit like any other, which ends the processes; by default it would leave them behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say so
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def one_thread() -> Iterator[None]:
    """The order in which several threads add numbers would change the last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
