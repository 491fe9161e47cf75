"""Ctrl-C as a request: the step in hand is finished, the state is written, then the run ends."""

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Iterator, Optional


@dataclass
class StopRequest:
    """Whether somebody asked the run to stop."""

    is_set: bool = False


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or termination signal into a request; a second Ctrl-C ends the program at once.

    YIELDS (StopRequest): Read it after each step. Outside the main thread, which alone hears signals, it stays false.
    """
    request = StopRequest()

    def ask(number: int, frame: Optional[FrameType]) -> None:
        if request.is_set and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.is_set = True

    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
