"""The project `quickstart`, run as a user runs it, with fewer steps and sentences."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from weasel.cli.document import project_document
from weasel.util import load_project_config

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "quickstart"
TINY = {"text": "text.txt", "tagged": "tagged", "pretrain_steps": 4, "train_steps": 2}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project and of the configs it refers to, with a tenth of the sentences."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    generated = shutil.ignore_patterns("corpus", "training", "metrics", "project.lock")
    copy = shutil.copytree(PROJECT, tmp_path / "projects" / "quickstart", ignore=generated)
    for part in ("train", "dev"):
        sentences = (copy / "data" / "ewt" / f"{part}.conllu").read_text(encoding="utf8").strip().split("\n\n")
        (copy / "tagged").mkdir(exist_ok=True)
        (copy / "tagged" / f"{part}.conllu").write_text("\n\n".join(sentences[:40]) + "\n\n", encoding="utf8")
    paragraphs = (copy / "data" / "wikipedia.txt").read_text(encoding="utf8").split("\n\n")
    (copy / "text.txt").write_text("\n\n".join(paragraphs[:20]), encoding="utf8")
    return copy


def test_all_ends_with_a_table_of_three_rows(project: Path, run_project: Any) -> None:
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    figures = json.loads((project / "metrics" / "table.json").read_text(encoding="utf8"))
    assert {row: sorted(seeds) for row, seeds in figures.items()} == {
        row: ["1", "2", "3"] for row in ("baseline", "graphs", "packaged")
    }
    for row, seeds in figures.items():
        for seed, accuracy in seeds.items():
            assert f"{100 * accuracy:.2f}" in done.output
            meta = json.loads((project / "training" / row / seed / "model-last" / "meta.json").read_text("utf8"))
            assert meta["performance"]["tag_acc"] == accuracy
    reloaded = spacy.load(project / "training" / "graphs" / "1" / "model-last")
    assert all(token.tag_ for token in reloaded("The dog sees a cat."))


def test_a_changed_sample_stops_the_workflow(project: Path) -> None:
    """As a process of its own, so that the exit status is shown to reach the shell."""
    with (project / "data" / "wikipedia.txt").open("a", encoding="utf8") as file:
        file.write("One line more.\n")
    command = [sys.executable, "-m", "spacy", "project", "run", "all", str(project)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "wikipedia.txt: SHA-256 is" in done.stdout
    assert not (project / "corpus" / "text").exists()


def test_the_rows_differ_in_their_features_only() -> None:
    baseline = spacy.util.load_config(PROJECT / "configs" / "baseline.cfg", interpolate=True)
    features = spacy.util.load_config(ROOT / "configs" / "tiny" / "features.cfg", interpolate=True)
    transfer: Any = features["components"]["tok2vec"]["model"]
    assert transfer["tok2vec"] == baseline["components"]["tok2vec"]["model"]
    assert features["components"]["tagger"]["model"]["tok2vec"]["width"] == 3 * transfer["tok2vec"]["width"]
    for section in ("nlp", "corpora", "training", "system"):
        assert features[section] == baseline[section]


def test_every_workflow_begins_with_verify() -> None:
    workflows = load_project_config(PROJECT)["workflows"]
    assert {name: steps[0] for name, steps in workflows.items()} == {"all": "verify"}


def test_the_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated


def test_every_article_is_attributed() -> None:
    lines = (PROJECT / "data" / "wikipedia.tsv").read_text(encoding="utf8").splitlines()[1:]
    articles = (PROJECT / "data" / "wikipedia.txt").read_text(encoding="utf8").strip().split("\n\n")
    assert len(lines) == len(articles)
    for line in lines:
        page_id, title, url = line.split("\t")
        assert title
        assert url == f"https://en.wikipedia.org/?curid={page_id}"
