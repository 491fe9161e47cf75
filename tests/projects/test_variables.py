"""What the descriptions of projects tell people to type, read by spaCy's own rules for variables."""

import re
import shlex
from pathlib import Path
from typing import Dict, List

import pytest
from weasel.util import load_project_config, parse_config_overrides

PROJECTS = sorted(path.parent for path in Path(__file__).parents[2].glob("projects/*/project.yml"))


def typed_variables(text: str) -> List[str]:
    """What follows the first variable, in each piece of code that has one."""
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^\s*(python -m spacy project .*)$", text, re.MULTILINE)
    lines = [line[line.index("--vars.") :] for line in code if "--vars." in line]
    return [line for line in lines if line != "--vars."]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
def test_variables_can_be_typed_as_described(project: Path) -> None:
    config = load_project_config(project)
    for line in typed_variables(config["description"]):
        words = shlex.split(line.replace("…", "value"))
        found: Dict[str, object] = parse_config_overrides(list(words))
        given = [word for word in words if word.startswith("--vars.")]
        assert list(found) == [word.removeprefix("--") for word in given], line
        assert set(found) <= {f"vars.{name}" for name in config["vars"]}, line


def test_a_value_that_looks_like_a_variable_would_be_noticed() -> None:
    (line,) = typed_variables('Say `--vars.options "--training.dropout 0.2"`.')
    assert list(parse_config_overrides(shlex.split(line))) != ["vars.options"]
