"""The project `pretrain_elmo`, run as a user runs it, on a small text with the tiny config."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
import torch
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.models import load_checkpoint, read_checkpoint

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "pretrain_elmo"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project and of the configs it refers to."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    generated = shutil.ignore_patterns(
        "assets", "corpus", "training", "metrics", "features", "packaged", "project.lock"
    )
    return shutil.copytree(PROJECT, tmp_path / "projects" / "pretrain_elmo", ignore=generated)


@pytest.fixture
def tiny(tmp_path: Path) -> List[str]:
    """Overrides: 40 documents on farm life in two files, the smallest model, its 60 steps."""
    for part in range(2):
        documents = [f"The farmer sold {n} sheep because the winter of {1900 + n} was long. " * 5 for n in range(20)]
        (tmp_path / f"text{part}.txt").write_text("\n\n".join(documents), encoding="utf8")
    variables = {
        "text": tmp_path / "text*.txt",
        "config": "../../configs/tiny/pretrain_elmo.cfg",
        "name": "tiny",
        "max_words": 100,
        "n_process": 1,
    }
    return [f"--vars.{name}={value}" for name, value in variables.items()]


def _run(command: str, project: Path, *overrides: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "spacy", "project", "run", command, str(project), *overrides]
    return subprocess.run(call, capture_output=True, text=True)


@pytest.mark.slow
def test_all_trains_a_checkpoint_and_writes_figures_a_page_and_features(project: Path, tiny: List[str]) -> None:
    pytest.importorskip("h5py", reason="features are written as HDF5")
    pytest.importorskip("sklearn", reason="the map is drawn by t-SNE")
    done = _run("all", project, *tiny)
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_checkpoint(project / "training" / "tiny" / "model-best").config.projection_width == 16
    measures = json.loads((project / "metrics" / "tiny.json").read_text(encoding="utf8"))
    assert measures["perplexity_forward"] > 1
    assert measures["perplexity_backward"] > 1
    assert "The children play" in (project / "metrics" / "tiny.html").read_text(encoding="utf8")
    exported = read_checkpoint(project / "packaged" / "tiny")
    assert not [name for name in exported.state if name.startswith("softmax")]
    assert {tensor.dtype for tensor in exported.state.values()} == {torch.float16}
    assert json.loads((project / "features" / "tiny" / "extract.json").read_text(encoding="utf8"))


@pytest.mark.slow
def test_more_text_goes_on_from_the_checkpoint_and_measures_both(
    project: Path, tiny: List[str], tmp_path: Path
) -> None:
    assert _run("pretrain", project, *tiny).returncode == 0
    documents = [f"The sailor sold {n} boats because the winter was stormy. " * 5 for n in range(20)]
    (tmp_path / "more.txt").write_text("\n\n".join(documents), encoding="utf8")
    done = _run("more", project, *tiny, f"--vars.more_text={tmp_path / 'more.txt'}", "--vars.more_learn_rate=0.01")
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((project / "metrics" / "tiny_more.json").read_text(encoding="utf8"))
    assert figures["after"]["new"]["perplexity"] < figures["before"]["new"]["perplexity"]
    assert figures["after"]["new"]["unknown_rate"] < figures["before"]["new"]["unknown_rate"]
    assert set(figures["before"]) == set(figures["after"]) == {"old", "new"}


def test_a_damaged_asset_stops_the_workflow_before_any_work(project: Path, tiny: List[str]) -> None:
    asset = project / "assets" / "wiki.train.tokens"
    asset.parent.mkdir()
    asset.write_text("not the text that was meant", encoding="utf8")
    done = _run("pretrain", project, *tiny)
    assert done.returncode == 1
    assert "assets/wiki.train.tokens: SHA-256 is" in done.stdout
    assert not (project / "corpus" / "tiny").exists()


@pytest.mark.parametrize("variant", ["sm", "paper"])
def test_every_variant_has_its_config(variant: str, project: Path) -> None:
    values = load_project_config(project, overrides={"vars.variant": variant})
    train = next(command for command in values["commands"] if command["name"] == "train")
    assert (project / train["deps"][0]).is_file()


def test_readme_is_the_generated_one(project: Path) -> None:
    written = (project / "README.md").read_text(encoding="utf8")
    project_document(project, project / "README.md")
    assert (project / "README.md").read_text(encoding="utf8") == written
