"""The command-line app: both ways in list every command, and errors are one line."""

import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from typer.testing import CliRunner

from glomo_spacy.cli import _app
from glomo_spacy.cli._app import COMMANDS, app, clear_errors

SCRIPT = Path(sys.executable).with_name("glomo-spacy")
WAYS_IN = {
    "script": [str(SCRIPT)],
    "module": [sys.executable, "-m", "glomo_spacy"],
    "spacy": [sys.executable, "-m", "spacy", "glomo"],
}


def _listed_commands(help_text: str) -> List[str]:
    """The names in the first column under `Commands:`."""
    return re.findall(r"^  ([a-z-]+)(?:  |$)", help_text.split("Commands:")[1], flags=re.MULTILINE)


@pytest.mark.parametrize("way", WAYS_IN)
def test_every_way_in_lists_every_command(way: str) -> None:
    done = subprocess.run([*WAYS_IN[way], "--help"], capture_output=True, text=True, check=True)
    assert _listed_commands(done.stdout) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: glomo-spacy {name}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    for parameter in _app._load_command(name).params:
        assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_app_without_a_command_shows_its_help() -> None:
    result = CliRunner().invoke(app, [])
    assert _listed_commands(result.output) == list(COMMANDS)


def test_an_unknown_command_is_named() -> None:
    result = CliRunner().invoke(app, ["pretrian"])
    assert result.exit_code == 2
    assert "No such command 'pretrian'" in result.output


def test_an_error_of_ours_is_one_line_and_exit_code_one(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("[G000] nothing to read")

    with pytest.raises(SystemExit) as exit_info:
        clear_errors()(fail)()
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "✘ [G000] nothing to read\n"


def test_any_other_error_keeps_its_traceback() -> None:
    def fail() -> None:
        raise KeyError("a defect")

    with pytest.raises(KeyError, match="a defect"):
        clear_errors()(fail)()
