"""Folders import only what stands below them, and the light ones stay light."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Set, Tuple

import pytest

import glomo_spacy

PACKAGE = Path(glomo_spacy.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# From the bottom up; units in one row do not import each other.
ROWS: Tuple[Set[str], ...] = (
    {"errors"},
    {"files"},
    {"graphs"},
    {"indexers"},
    {"models"},
    {"visual"},
    {"convert", "corpora", "evaluation"},
    {"training"},
    {"architectures"},
    {"pipeline"},
    {"embedder"},
    {"cli"},
    {"__main__"},
)
RANK = {unit: rank for rank, row in enumerate(ROWS) for unit in row}

# Higher up in the table, but a world apart: they meet in a checkpoint directory only.
APART = {("architectures", "training"), ("pipeline", "training")}

# Where spaCy and Thinc may be imported: everything from `architectures` up, and the reading of texts.
SPACY_UNITS = {"architectures", "pipeline", "cli"}
SPACY_FILES = {
    f"corpora/{name}.py"
    for name in (
        "batchers",
        "corpus_share",
        "labelled_lines",
        "raw_text",
        "sentence_cutting",
        "sentences",
        "squad",
        "squad_prepare",
        "tokenizing",
        "vector_tables",
    )
}


def _imports(path: Path) -> Iterator[str]:
    """Every module a file imports anywhere in it, by its absolute name."""
    package = ("glomo_spacy", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            if module == "glomo_spacy":
                yield from (f"{module}.{alias.name}" for alias in node.names)
            else:
                yield module


def _unit(path: Path) -> str:
    """The folder, or top-level module, a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _own_units(path: Path) -> Set[str]:
    """The units of this package that a file imports."""
    names = (name.split(".") for name in _imports(path))
    return {parts[1] for parts in names if parts[0] == "glomo_spacy" and len(parts) > 1 and parts[1] in RANK}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_below(path: Path) -> None:
    unit = _unit(path)
    if unit == "__init__":
        assert not _own_units(path)
        return
    assert unit in RANK, f"{unit} has no row in this test's table"
    for imported in _own_units(path) - {unit}:
        assert RANK[imported] < RANK[unit], f"{unit} must not import {imported}"
        assert (unit, imported) not in APART, f"{unit} must not import {imported}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_spacy_and_thinc_only_where_allowed(path: Path) -> None:
    roots = {name.partition(".")[0] for name in _imports(path)}
    # Typer brings its own copy of click; the two do not mix.
    assert "click" not in roots
    if _unit(path) not in SPACY_UNITS and str(path.relative_to(PACKAGE)) not in SPACY_FILES:
        assert not roots & {"spacy", "thinc"}


def _modules_loaded_by(statement: str) -> Set[str]:
    """Top-level modules in memory after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def _import_all(package: str) -> str:
    return (
        f"import importlib, pkgutil, {package} as package\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'): "
        "importlib.import_module(module.name)\n"
    )


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = _modules_loaded_by("import glomo_spacy")
    assert not loaded & {"numpy", "spacy", "thinc", "torch", "typer", "srsly", "confection"}


def test_a_bare_machine_can_index_read_shards_train_and_load_models() -> None:
    """All of it in one process: loading torch takes seconds."""
    packages = map(_import_all, ("glomo_spacy.indexers", "glomo_spacy.models", "glomo_spacy.training"))
    loaded = _modules_loaded_by("".join(packages) + "import glomo_spacy.corpora.shards, glomo_spacy.corpora.bptt")
    assert {"torch", "safetensors"} <= loaded
    assert not loaded & {"spacy", "thinc", "typer"}


def test_the_command_line_app_loads_nothing_heavy() -> None:
    loaded = _modules_loaded_by("import glomo_spacy.cli")
    assert "typer" in loaded
    assert not loaded & {"numpy", "spacy", "thinc", "torch", "srsly"}


def test_listing_the_commands_loads_nothing_heavy() -> None:
    show_help = "from glomo_spacy.cli import main\nimport sys\nsys.argv = ['glomo-spacy', '--help']\n"
    loaded = _modules_loaded_by(f"{show_help}try: main()\nexcept SystemExit: pass")
    assert "typer" in loaded
    assert not loaded & {"numpy", "spacy", "thinc", "torch"}
