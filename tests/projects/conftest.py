"""Run a project's commands as `python -m spacy project run` does, without a new Python for each of them."""

import io
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Sequence

import pytest
from weasel.cli.run import project_run


class Run(NamedTuple):
    """What a user sees of a run.

    code (int): Exit status.
    output (str): All that was printed.
    """

    code: int
    output: str


@pytest.fixture(scope="session")
def run_project() -> Callable[..., Run]:
    """A function of project, command or workflow, and variables.

    Weasel reads project.yml, fills in the variables, looks for what commands need, splits their lines and writes its
    lock file as ever. Only the last step differs: `python -m …` and `python scripts/….py` run in this process.
    """

    def run(project: Path, step: str, **variables: Any) -> Run:
        overrides = {f"vars.{name}": str(value) for name, value in variables.items()}
        output = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
            patch.setattr("weasel.cli.run.run_command", _run_line)
            code = _exit_code(lambda: project_run(project, step, overrides=overrides))
        return Run(code, output.getvalue())

    return run


def _run_line(command: List[str], **settings: Any) -> None:
    """Run a line of project.yml; like Weasel, leave with its exit status if that is not 0."""
    assert command[0] == sys.executable, "a project runs nothing but Python"
    code = _exit_code(lambda: _run_python(command[1:]))
    if code:
        sys.exit(code)


def _run_python(arguments: Sequence[str]) -> None:
    """What `python …` does with a module or a script."""
    is_module = arguments[0] == "-m"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", list(arguments[1:] if is_module else arguments))
        run = runpy.run_module if is_module else runpy.run_path
        run(sys.argv[0], run_name="__main__")


def _exit_code(run: Callable[[], Any]) -> int:
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
