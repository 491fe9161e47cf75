"""setup.cfg is the table of contents: what it lists resolves, and what we register is listed."""

from configparser import ConfigParser
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from typing import List, Tuple

import pytest
import spacy
from spacy import registry

SETUP_CFG = Path(__file__).parents[1] / "setup.cfg"


def _listed() -> List[Tuple[str, str, str]]:
    """Every entry point of setup.cfg as (group, name, target)."""
    setup = ConfigParser(delimiters=("=",), interpolation=None)
    setup.optionxform = str  # type: ignore[assignment, method-assign]  # keep capitals
    setup.read(SETUP_CFG, encoding="utf8")
    rows = []
    for group, lines in setup["options.entry_points"].items():
        for line in lines.strip().splitlines():
            name, _, target = line.partition(" = ")
            rows.append((group, name, target))
    return rows


@pytest.mark.parametrize("group, name, target", _listed())
def test_entry_point_resolves(group: str, name: str, target: str) -> None:
    module_name, _, attribute = target.partition(":")
    assert callable(getattr(import_module(module_name), attribute))


def test_installed_entry_points_are_those_of_setup_cfg() -> None:
    installed = {(point.group, point.name, point.value) for point in distribution("glomo-spacy").entry_points}
    assert installed == set(_listed())


@pytest.mark.parametrize("name", [name for group, name, _ in _listed() if group == "spacy_architectures"])
def test_architecture_is_found_by_its_name(name: str) -> None:
    assert name.startswith("glomo_spacy.")
    assert registry.has("architectures", name)


@pytest.mark.parametrize("name", [name for group, name, _ in _listed() if group == "spacy_factories"])
def test_factory_is_found_by_its_name(name: str) -> None:
    assert spacy.blank("en").has_factory(name)
