"""Run a module or a script as `python …` does, in the process of the test: spaCy and torch take seconds to load."""

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import pytest


class Run(NamedTuple):
    """What a user sees of a run.

    code (int): Exit status.
    output (str): All that was printed.
    """

    code: int
    output: str


def run_python(arguments: Sequence[str]) -> int:
    """What `python` does with `-m MODULE …` or `SCRIPT …`, up to its exit status. Other exceptions are passed on."""
    is_module = arguments[0] == "-m"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(arguments[1:] if is_module else arguments))
        if is_module:
            return exit_code(lambda: runpy.run_module(sys.argv[0], run_name="__main__"))
        patch.setattr(sys, "path", [str(Path(arguments[0]).parent), *sys.path])
        return exit_code(lambda: runpy.run_path(sys.argv[0], run_name="__main__"))


def exit_code(run: Callable[[], Any]) -> int:
    """The status that a program would leave with."""
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def captured(run: Callable[[], int]) -> Run:
    """Run something and keep what it prints.

    run (Callable[[], int]): Returns an exit status.
    """
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = run()
    return Run(code, output.getvalue())
