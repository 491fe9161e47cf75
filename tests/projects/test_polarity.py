"""The project `polarity`: run as a user runs it, on tiny data; its rows differ in their vectors only."""

import json
import random
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
import torch
from typer.testing import CliRunner
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.indexers import CharIndexer
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "polarity"
WORDS = {"positive": ["warm", "witty", "moving"], "negative": ["dull", "tired", "clumsy"]}
ROWS = ["word2vec", "fasttext", "elmo", "elmo_tuned"]
GENERATED = shutil.ignore_patterns("assets", "corpus", "vectors", "training", "metrics", "project.lock")
TINY = {
    "positive": "positive.txt",
    "negative": "negative.txt",
    "text": "text.txt",
    "elmo": "bilm",
    "vector_width": 8,
    "min_count": 1,
    "word2vec_epochs": 1,
    "fasttext_epochs": 1,
    "folds": 2,
    "train_steps": 2,
}

gensim = pytest.importorskip("gensim", reason="the project trains word vectors by gensim")
pytest.importorskip("matplotlib", reason="the project draws a plot")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project with 60 easy sentences, some text and a biLM with random weights."""
    copy = shutil.copytree(PROJECT, tmp_path / "polarity", ignore=GENERATED)
    sentences = [write_sentences(copy / f"{label}.txt", words) for label, words in WORDS.items()]
    (copy / "text.txt").write_text("\n".join(sum(sentences, [])) * 5, encoding="utf8")
    save_bilm(copy / "bilm")
    return copy


def write_sentences(path: Path, words: List[str]) -> List[str]:
    """Thirty sentences, each with one or two of the words of its class."""
    draw = random.Random(0)
    lines = [f"a {draw.choice(words)} film with a {draw.choice(words)} end ." for _ in range(30)]
    path.write_text("\n".join(lines), encoding="utf8")
    return lines


def save_bilm(path: Path) -> None:
    torch.manual_seed(0)
    config = ElmoConfig(filters=((1, 8), (2, 8)), char_width=4, projection_width=8, cell_width=16, n_highway=1)
    save_checkpoint(path, BiLM(config), indexer=CharIndexer().config, vocab=None, meta={"data": {"name": "random"}})


def read_scores(project: Path) -> Dict[str, List[float]]:
    return json.loads((project / "metrics" / "table.json").read_text(encoding="utf8"))  # type: ignore[no-any-return]


def test_all_ends_with_a_table_and_a_plot_of_four_rows(project: Path, run_project: Any) -> None:
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    scores = read_scores(project)
    assert {row: len(accuracies) for row, accuracies in scores.items()} == dict.fromkeys(ROWS, 2)
    assert all(0 <= accuracy <= 1 for accuracies in scores.values() for accuracy in accuracies)
    assert "ELMo + BoW, fine-tuned" in done.output
    assert (project / "metrics" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    for row in ROWS:
        assert sorted(path.name for path in (project / "training" / row).iterdir()) == ["model", "scores.json"]
        doc = spacy.load(project / "training" / row / "model")("a warm film .")
        assert sum(doc.cats.values()) > 0
    done = run_project(project, "both", **TINY)
    assert done.code == 0, done.output
    assert set(read_scores(project)) == {*ROWS, "elmo_word2vec"}


def test_labels_ends_with_a_table_of_shares_of_the_sentences(project: Path, run_project: Any) -> None:
    shutil.copytree(PROJECT.parent / "ud_ner", project.parent / "ud_ner", ignore=GENERATED)
    options = "--ablation.sizes [0.5] --ablation.seeds [1] --ablation.max_steps 2 --features none --features elmo"
    done = run_project(project, "labels", **TINY, pretrain_seconds=0.1, options=options)
    assert done.code == 0, done.output
    cells = sorted((project / "metrics" / "labels" / "cells").glob("*/0.5/1/result.json"))
    assert [cell.parts[-4] for cell in cells] == ["elmo", "none"]
    for cell in cells:
        result = json.loads(cell.read_text(encoding="utf8"))
        assert result["documents"] == 12
        assert 0 <= result["scores"]["cats_micro_f"] <= 1


def test_vectors_in_word2vecs_binary_format_are_loaded(project: Path, run_project: Any) -> None:
    vectors = gensim.models.KeyedVectors(4)
    vectors.add_vectors(["film", "warm", "dull"], torch.eye(3, 4).numpy())
    vectors.save_word2vec_format(str(project / "vectors.bin"), binary=True)
    done = run_project(project, "load", **TINY, vectors_file="vectors.bin", vectors_limit=2)
    assert done.code == 0, done.output
    nlp = spacy.load(project / "vectors" / "word2vec")
    assert nlp.vocab["warm"].vector.tolist() == [0.0, 1.0, 0.0, 0.0]
    assert not nlp.vocab["dull"].has_vector


def test_word2vec_of_a_seed_is_always_the_same(project: Path) -> None:
    app = load_script("vectors").app
    command = ["train", "word2vec", "--text", str(project / "text.txt"), "--width", "4", "--epochs", "1"]
    for name in ("one", "two"):
        result = CliRunner().invoke(app, [*command[:2], str(project / name), *command[2:], "--seed", "3"])
        assert result.exit_code == 0, result.output
    first = (project / "one").read_text(encoding="utf8")
    assert first == (project / "two").read_text(encoding="utf8")
    words = {line.split(" ")[0] for line in first.splitlines()[1:]}
    assert {"warm", "dull", "film", "."} <= words


def test_fasttext_spells_words_that_the_text_does_not_have(project: Path) -> None:
    (project / "rare.txt").write_text("Unwarmly filmed .", encoding="utf8")
    command = ["train", "fasttext", str(project / "out"), "--text", str(project / "text.txt"), "--width", "4"]
    command += ["--epochs", "1", "--words-of", str(project / "rare.txt")]
    result = CliRunner().invoke(load_script("vectors").app, command)
    assert result.exit_code == 0, result.output
    vectors = gensim.models.KeyedVectors.load_word2vec_format(str(project / "out"))
    assert abs(vectors["unwarmly"]).sum() > 0


def test_table_compares_fold_by_fold() -> None:
    row = load_script("table").table_row("elmo", {"word2vec": [0.7, 0.8], "elmo": [0.72, 0.84]})
    assert row == ["ELMo + BoW", "2", "78.00", "8.49", "+3.00", "1.41"]


def test_table_of_a_single_fold_has_no_deviation() -> None:
    assert load_script("table").table_row("elmo", {"elmo": [0.5]}) == ["ELMo + BoW", "1", "50.00", "0.00", "", ""]


@pytest.mark.parametrize("config", ["elmo.cfg", "elmo_tuned.cfg", "elmo_vectors.cfg"])
def test_the_rows_differ_in_their_vectors_only(config: str) -> None:
    baseline, other = (read_config(name) for name in ("vectors.cfg", config))
    model = "components", "textcat", "model"
    assert get(other, *model).pop("tok2vec") != get(baseline, *model).pop("tok2vec")
    other["paths"].pop("elmo")
    assert other == baseline


def test_every_row_is_trained_on_the_same_data_for_as_many_steps() -> None:
    commands = {command["name"]: command["script"] for command in load_project_config(PROJECT)["commands"]}
    rows = [script for name, (script, *_) in commands.items() if name.startswith(("train-", "finetune-"))]
    assert len(rows) == 5
    shared = {script.split(" --folds ")[1].split(" --paths.vectors ")[0].split(" --paths.elmo ")[0] for script in rows}
    assert len(shared) == 1


def test_every_workflow_begins_with_verify() -> None:
    workflows = load_project_config(PROJECT)["workflows"]
    assert {steps[0] for steps in workflows.values()} == {"verify"}


def test_the_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated


def read_config(name: str) -> Dict[str, Any]:
    return dict(spacy.util.load_config(PROJECT / "configs" / name, interpolate=True))


def get(config: Dict[str, Any], *sections: str) -> Dict[str, Any]:
    for section in sections:
        config = config[section]
    return config


def load_script(name: str) -> Any:
    return spacy.util.import_file(name, PROJECT / "scripts" / f"{name}.py")
