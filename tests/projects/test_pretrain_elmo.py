"""The project `pretrain_elmo`, run as a user runs it, on a small text with the tiny config."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.cli.map import gallery_sentences
from glomo_spacy.models import load_checkpoint, read_checkpoint

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "pretrain_elmo"
TINY = {
    "text": "text*.txt",
    "config": "../../configs/tiny/pretrain_elmo.cfg",
    "name": "tiny",
    "max_words": 100,
    "n_process": 1,
}


def copy_project(folder: Path) -> Path:
    """A copy of the project, with a text of 40 documents on farm life in two files, and of the configs it refers to."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    generated = shutil.ignore_patterns(
        "assets", "corpus", "training", "metrics", "features", "packaged", "project.lock"
    )
    copy = shutil.copytree(PROJECT, folder / "projects" / "pretrain_elmo", ignore=generated)
    for part in range(2):
        documents = [f"The farmer sold {n} sheep because the winter of {1900 + n} was long. " * 5 for n in range(20)]
        (copy / f"text{part}.txt").write_text("\n\n".join(documents), encoding="utf8")
    return copy


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, run_project: Any) -> Path:
    """A copy in which the smallest model has been trained for its 60 steps."""
    copy = copy_project(tmp_path_factory.mktemp("pretrain_elmo"))
    done = run_project(copy, "pretrain", **TINY)
    assert done.code == 0, done.output
    return copy


def test_all_goes_on_from_pretrain_to_figures_a_page_and_features(
    trained: Path, run_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("h5py", reason="features are written as HDF5")
    pytest.importorskip("sklearn", reason="the map is drawn by t-SNE")
    monkeypatch.setattr("glomo_spacy.visual.placement._STEPS", 250)  # a map that is rough, but a map
    done = run_project(trained, "all", **TINY)
    assert done.code == 0, done.output
    assert "Skipping 'train': nothing changed" in done.output
    assert load_checkpoint(trained / "training" / "tiny" / "model-best").config.projection_width == 16
    measures = json.loads((trained / "metrics" / "tiny.json").read_text(encoding="utf8"))
    assert measures["perplexity_forward"] > 1
    assert measures["perplexity_backward"] > 1
    page = (trained / "metrics" / "tiny.html").read_text(encoding="utf8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)[1])
    assert [item["name"] for item in data["maps"]] == list(gallery_sentences())
    exported = read_checkpoint(trained / "packaged" / "tiny")
    assert not [name for name in exported.state if name.startswith("softmax")]
    assert {tensor.dtype for tensor in exported.state.values()} == {torch.float16}
    assert json.loads((trained / "features" / "tiny" / "extract.json").read_text(encoding="utf8"))


def test_more_text_goes_on_from_the_checkpoint_and_measures_both(trained: Path, run_project: Any) -> None:
    documents = [f"The sailor sold {n} boats because the winter was stormy. " * 5 for n in range(20)]
    (trained / "more.txt").write_text("\n\n".join(documents), encoding="utf8")
    done = run_project(trained, "more", **TINY, more_text="more.txt", more_learn_rate=0.01)
    assert done.code == 0, done.output
    figures = json.loads((trained / "metrics" / "tiny_more.json").read_text(encoding="utf8"))
    assert figures["after"]["new"]["perplexity"] < figures["before"]["new"]["perplexity"]
    assert figures["after"]["new"]["unknown_rate"] < figures["before"]["new"]["unknown_rate"]
    assert set(figures["before"]) == set(figures["after"]) == {"old", "new"}


def test_a_damaged_asset_stops_the_workflow_before_any_work(project: Path, run_project: Any) -> None:
    asset = project / "assets" / "wiki.train.tokens"
    asset.parent.mkdir()
    asset.write_text("not the text that was meant", encoding="utf8")
    done = run_project(project, "pretrain", **TINY)
    assert done.code == 1
    assert "assets/wiki.train.tokens: SHA-256 is" in done.output
    assert not (project / "corpus" / "tiny").exists()


def test_every_workflow_begins_with_verify() -> None:
    workflows: Dict[str, Any] = load_project_config(PROJECT)["workflows"]
    assert {steps[0] for steps in workflows.values()} == {"verify"}


@pytest.mark.parametrize("variant", ["sm", "paper"])
def test_every_variant_has_its_config(variant: str) -> None:
    values = load_project_config(PROJECT, overrides={"vars.variant": variant})
    train = next(command for command in values["commands"] if command["name"] == "train")
    assert (PROJECT / train["deps"][0]).is_file()


def test_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated
