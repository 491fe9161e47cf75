"""The project `quickstart`, run as a user runs it, with fewer steps and sentences."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, List

import pytest
import spacy
import torch
from spacy import util
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "quickstart"
TINY = {
    "text": "text.txt",
    "tagged": "tagged",
    "elmo": "elmo",
    "language_model": "mogrifier",
    "pretrain_steps": 4,
    "train_steps": 2,
    "n_process": 1,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project and of the configs it refers to, with a tenth of the sentences and tiny models."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    generated = shutil.ignore_patterns("corpus", "training", "metrics", "project.lock")
    copy = shutil.copytree(PROJECT, tmp_path / "projects" / "quickstart", ignore=generated)
    for part in ("train", "dev"):
        sentences = (copy / "data" / "ewt" / f"{part}.conllu").read_text(encoding="utf8").strip().split("\n\n")
        (copy / "tagged").mkdir(exist_ok=True)
        (copy / "tagged" / f"{part}.conllu").write_text("\n\n".join(sentences[:40]) + "\n\n", encoding="utf8")
    paragraphs = (copy / "data" / "wikipedia.txt").read_text(encoding="utf8").split("\n\n")
    (copy / "text.txt").write_text("\n\n".join(paragraphs[:20]), encoding="utf8")
    save_models(copy)
    return copy


def save_models(folder: Path) -> None:
    """A biLM and a language model with random weights whose rows are as wide as those of the packaged ones."""
    torch.manual_seed(0)
    bilm = BiLM(ElmoConfig(filters=((1, 8),), char_width=4, projection_width=128, cell_width=8, n_highway=1))
    save_checkpoint(folder / "elmo", bilm, indexer=CharIndexer().config, vocab=None, meta={})
    words = ["<S>", "</S>", "<UNK>", "the", "."]
    model = LanguageModel(MogrifierConfig(vocab_size=len(words), embedding_width=8, hidden_width=512, rank=2))
    indexer = VocabularyIndexer(words).config
    save_checkpoint(folder / "mogrifier", model, indexer=indexer, vocab=words, meta={})


@pytest.mark.slow
def test_all_ends_with_a_table_of_five_rows(project: Path, run_project: Any) -> None:
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    figures = json.loads((project / "metrics" / "table.json").read_text(encoding="utf8"))
    assert {row: sorted(seeds) for row, seeds in figures.items()} == {
        row: ["1", "2", "3"] for row in ("baseline", "graphs", "packaged", "elmo", "mogrifier")
    }
    for row, seeds in figures.items():
        for seed, accuracy in seeds.items():
            assert f"{100 * accuracy:.2f}" in done.output
            meta = json.loads((project / "training" / row / seed / "model-last" / "meta.json").read_text("utf8"))
            assert meta["performance"]["tag_acc"] == accuracy
    for row in ("graphs", "elmo", "mogrifier"):
        reloaded = spacy.load(project / "training" / row / "1" / "model-last")
        assert all(token.tag_ for token in reloaded("The dog sees a cat."))


@pytest.fixture
def begun(project: Path, run_project: Any) -> Path:
    """The project after its sentences have been converted."""
    done = run_project(project, "convert", **TINY)
    assert done.code == 0, done.output
    return project


def run_train(project: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "scripts/train.py", "configs/baseline.cfg", "training/baseline", *options]
    paths = ["--paths.train", "corpus/train.spacy", "--paths.dev", "corpus/dev.spacy", "--training.max_steps", "3"]
    return subprocess.run([*command, *paths], cwd=project, capture_output=True, text=True)


@pytest.mark.slow
def test_seeds_side_by_side_give_what_spacy_train_gives(begun: Path) -> None:
    """The third seed is the second of its process."""
    done = run_train(begun, "--seeds", "1,2,3", "--n-process", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Saved pipeline") == 3
    config = util.load_config(begun / "configs" / "baseline.cfg")
    for seed in (1, 3):
        paths = {part: str(begun / "corpus" / f"{part}.spacy") for part in ("train", "dev")}
        config.update({"paths": {**config["paths"], **paths}, "system": {**config["system"], "seed": seed}})
        config["training"]["max_steps"] = 3
        config.to_disk(begun / f"seed{seed}.cfg")
        command = [sys.executable, "-m", "spacy", "train", f"seed{seed}.cfg", "--output", f"alone/{seed}"]
        subprocess.run(command, cwd=begun, check=True, capture_output=True)
        ours, stock = (begun / folder / str(seed) / "model-last" for folder in ("training/baseline", "alone"))
        for name in ("tok2vec/model", "tagger/model", "vocab/strings.json"):
            assert (ours / name).read_bytes() == (stock / name).read_bytes(), name


@pytest.mark.parametrize("n_process", ["1", "2"])
def test_a_failure_in_any_process_is_shown_and_stops_the_workflow(begun: Path, n_process: str) -> None:
    done = run_train(begun, "--n-process", n_process, "--training.optimizer.@optimizers", "Adamant.v1")
    assert done.returncode != 0
    assert "Adamant.v1" in done.stdout + done.stderr
    assert not list(begun.glob("training/*/*/model-last"))


def test_seeds_that_are_no_numbers_are_refused(project: Path) -> None:
    done = run_train(project, "--seeds", "1,two")
    assert done.returncode == 2
    assert "'1,two'" in done.stderr
    assert not (project / "training").exists()


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
    tiny = ROOT / "configs" / "tiny" / "features.cfg"
    paths = (*(PROJECT / "configs" / f"{row}.cfg" for row in ("baseline", "elmo", "mogrifier")), tiny)
    configs: List[Any] = [spacy.util.load_config(path, interpolate=True) for path in paths]
    own, elmo, mogrifier, graphs = (config["components"]["tok2vec"]["model"] for config in configs)
    assert elmo["tok2vecs"]["spelling"] == mogrifier["tok2vecs"]["spelling"] == graphs["tok2vec"] == own
    contexts = elmo["tok2vecs"]["context"]["tok2vec"]["width"], mogrifier["tok2vecs"]["context"]["tok2vec"]["width"]
    widths = [config["components"]["tagger"]["model"]["tok2vec"]["width"] for config in configs[1:]]
    assert widths == [own["width"] + contexts[0], own["width"] + contexts[1], 3 * own["width"]]
    for section in ("nlp", "corpora", "training", "system"):
        assert all(config[section] == configs[0][section] for config in configs)


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
