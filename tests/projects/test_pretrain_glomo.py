"""The project `pretrain_glomo`, run as a user runs it, on a small text with the tiny config."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.models import load_checkpoint, read_checkpoint

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "pretrain_glomo"


TINY = {
    "text": "text*.txt",
    "config": "../../configs/tiny/pretrain_glomo.cfg",
    "words_config": "../../configs/tiny/pretrain_glomo.cfg",
    "name": "tiny",
    "max_words": 100,
    "n_process": 1,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, with a text of 40 documents on farm life in two files, and of the configs it refers to."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    generated = shutil.ignore_patterns("assets", "corpus", "training", "metrics", "packaged", "project.lock")
    copy = shutil.copytree(PROJECT, tmp_path / "projects" / "pretrain_glomo", ignore=generated)
    for part in range(2):
        documents = [f"The farmer sold {n} sheep because the winter of {1900 + n} was long. " * 5 for n in range(20)]
        (copy / f"text{part}.txt").write_text("\n\n".join(documents), encoding="utf8")
    return copy


def test_all_trains_a_checkpoint_and_writes_figures_and_a_page(project: Path, run_project: Any) -> None:
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    model = load_checkpoint(project / "training" / "tiny" / "model-best")
    assert model.config.width == 32
    words = read_checkpoint(project / "training" / "tiny_words" / "model-best").meta
    story = read_checkpoint(project / "training" / "tiny" / "model-best").meta["training"]["initialized_from"]
    assert story["sha256"] == words["sha256"]["model.safetensors"]
    assert json.loads((project / "metrics" / "tiny.json").read_text(encoding="utf8"))["perplexity"] > 1
    assert "cabinet" in (project / "metrics" / "tiny.html").read_text(encoding="utf8")
    done = run_project(project, "package", **TINY)
    assert done.code == 0, done.output
    packaged = read_checkpoint(project / "packaged" / "tiny")
    assert packaged.state["embedding.weight"].dtype == torch.float16
    assert packaged.meta["name"] == "tiny"


def test_the_published_variant_learns_words_and_graphs_at_once(project: Path, run_project: Any) -> None:
    done = run_project(project, "paper", **{**TINY, "start": ""})
    assert done.code == 0, done.output
    assert "initialized_from" not in read_checkpoint(project / "training" / "tiny" / "model-best").meta["training"]
    assert not (project / "training" / "tiny_words").exists()


def test_every_workflow_begins_with_verify() -> None:
    workflows = load_project_config(PROJECT)["workflows"]
    assert {name: steps[0] for name, steps in workflows.items()} == dict.fromkeys(
        ("pretrain", "all", "paper"), "verify"
    )


def test_a_damaged_asset_stops_the_workflow_before_any_work(project: Path, run_project: Any) -> None:
    asset = project / "assets" / "wiki.train.tokens"
    asset.parent.mkdir()
    asset.write_text("not the text that was meant", encoding="utf8")
    done = run_project(project, "pretrain", **TINY)
    assert done.code == 1
    assert "assets/wiki.train.tokens: SHA-256 is" in done.output
    assert not (project / "corpus" / "tiny").exists()


@pytest.mark.parametrize("variant", ["sm", "paper"])
def test_every_variant_has_its_config(variant: str) -> None:
    values = load_project_config(PROJECT, overrides={"vars.variant": variant})
    for name in ("words", "train"):
        command = next(command for command in values["commands"] if command["name"] == name)
        assert (PROJECT / command["deps"][0]).is_file()


def test_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated
