"""Run a project's commands as `python -m spacy project run` does, without a new Python for each of them."""

import sys
from pathlib import Path
from typing import Any, Callable, List

import pytest
from running import Run, captured, exit_code, run_python
from weasel.cli.run import project_run


@pytest.fixture(scope="session")
def run_project() -> Callable[..., Run]:
    """A function of project, command or workflow, and variables.

    Weasel reads project.yml, fills in the variables, looks for what commands need, splits their lines and writes its
    lock file as ever. Only the last step differs: `python -m …` and `python scripts/….py` run in this process.
    """

    def run(project: Path, step: str, **variables: Any) -> Run:
        overrides = {f"vars.{name}": str(value) for name, value in variables.items()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("weasel.cli.run.run_command", _run_line)
            return captured(lambda: exit_code(lambda: project_run(project, step, overrides=overrides)))

    return run


def _run_line(command: List[str], **settings: Any) -> None:
    """Run a line of project.yml; like Weasel, leave with its exit status if that is not 0."""
    assert command[0] == sys.executable, "a project runs nothing but Python"
    code = run_python(command[1:])
    if code:
        sys.exit(code)
