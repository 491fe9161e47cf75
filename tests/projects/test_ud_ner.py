"""The project `ud_ner`: run as a user runs it, on a few sentences; its rows differ in their features only."""

import gzip
import json
import shutil
import time
from pathlib import Path
from typing import Any, Dict, Tuple

import pytest
import spacy
import typer
from spacy.tokens import DocBin
from spacy.training.converters import conllu_to_docs
from typer.testing import CliRunner
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.cli._ablation_plan import Ablation

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "ud_ner"
SAMPLE = ROOT / "projects" / "quickstart" / "data"
ROWS = {
    "none": [],
    "pretrain": [],
    "vectors": [],
    "glomo": ["glomo"],
    "elmo": ["words", "elmo"],
    "mogrifier": ["words", "mogrifier"],
    "all": ["glomo", "elmo", "mogrifier"],
}
ENTITIES = "Marie\tB-person\nCurie\tI-person\nlives\tO\nin\tO\nParis\tB-location\n"
TINY = {
    "ud_train": "treebank.conllu.gz",
    "ud_dev": "treebank.conllu.gz",
    "ud_test": "treebank.conllu.gz",
    "ner_train": "entities.conll",
    "ner_dev": "entities.conll",
    "ner_test": "entities.conll",
    "text": "text.txt",
    "pretrain_seconds": 0.1,
    "vector_width": 4,
    "vector_epochs": 1,
    "min_count": 1,
    "options": "--ablation.sizes [1.0] --ablation.seeds [1] --ablation.max_steps 2 --training.batcher.size 50"
    " --features none --features pretrain --features vectors --features all",
}
CONFIGS = {
    "ud": PROJECT / "configs" / "ud.cfg",
    "ner": PROJECT / "configs" / "ner.cfg",
    "textcat": ROOT / "projects" / "polarity" / "configs" / "textcat.cfg",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project beside the scripts it borrows, with 12 sentences of each kind and some text."""
    generated = shutil.ignore_patterns("assets", "corpus", "training", "vectors", "metrics", "project.lock")
    for name in ("polarity", "ud_ner"):
        shutil.copytree(ROOT / "projects" / name, tmp_path / "projects" / name, ignore=generated)
    copy = tmp_path / "projects" / "ud_ner"
    sentences = (SAMPLE / "ewt" / "dev.conllu").read_text(encoding="utf8").strip().split("\n\n")
    (copy / "treebank.conllu.gz").write_bytes(gzip.compress("\n\n".join([*sentences[:12], ""]).encode()))
    (copy / "entities.conll").write_text("\t\n".join([ENTITIES] * 12), encoding="utf8")
    (copy / "text.txt").write_text((SAMPLE / "wikipedia.txt").read_text(encoding="utf8")[:3000], encoding="utf8")
    return copy


@pytest.mark.slow
def test_all_ends_with_a_table_for_each_task(project: Path, run_project: Any) -> None:
    pytest.importorskip("gensim", reason="the project trains word vectors by gensim")
    pytest.importorskip("matplotlib", reason="the project draws a plot")
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    for task, score in {"ud": "dep_las", "ner": "ents_f"}.items():
        cells = sorted((project / "metrics" / task / "cells").glob("*/1/1/result.json"))
        assert [cell.parts[-4] for cell in cells] == ["all", "none", "pretrain", "vectors"]
        assert all(0 <= json.loads(cell.read_text(encoding="utf8"))["scores"][score] <= 1 for cell in cells)
        table = (project / "metrics" / task / "table.md").read_text(encoding="utf8")
        assert all(cell.parts[-4] in table for cell in cells)
        assert (project / "metrics" / task / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", CONFIGS)
def test_rows_are_made_of_parts_side_by_side(name: str) -> None:
    ablation = Ablation(CONFIGS[name])
    assert list(ablation.section.features) == list(ROWS)
    baseline = ablation.config_of(ablation.cells(["none"])[0])
    for row, parts in ROWS.items():
        config = ablation.config_of(ablation.cells([row])[0])
        assert list(config["features"]["parts"]) == parts
        model = config["components"]["tok2vec"]["model"]
        if parts:
            assert model["embed"]["*"]["parts"]["tok2vecs"] == {part: config["features"][part] for part in parts}
        else:
            stock = {**baseline["components"]["tok2vec"]["model"], "pretrained_vectors": row == "vectors" or None}
            assert model == stock
        width = model["encode"]["width"] if parts else model["width"]
        for component in config["nlp"]["pipeline"][1:]:
            assert config["components"][component]["model"]["tok2vec"]["width"] == width
        for section in ("nlp", "corpora", "training"):
            assert config[section] == baseline[section]


def test_all_tasks_compare_the_same_features() -> None:
    first, *others = (read_config(path) for path in CONFIGS.values())
    for other in others:
        for section in ("features", "pretraining", "initialize"):
            assert other[section] == first[section]
        assert other["ablation"]["features"] == first["ablation"]["features"]
        assert other["training"]["optimizer"]["learn_rate"]["initial_rate"] == 0.002


def test_spacys_pretraining_fits_the_baseline() -> None:
    pretraining, task = read_config(PROJECT / "configs" / "pretrain.cfg"), read_config(CONFIGS["ud"])
    assert pretraining["components"]["tok2vec"] == task["components"]["tok2vec"]
    for section in ("batcher", "objective", "component", "layer"):
        assert pretraining["pretraining"][section] == task["pretraining"][section]


def test_a_row_begins_with_what_was_pretrained_or_looked_up() -> None:
    ablation = Ablation(CONFIGS["ud"], {"paths.pretrained": "weights.bin", "paths.word_vectors": "vectors"})
    given = {row: begins_with(ablation.config_of(ablation.cells([row])[0])) for row in ("none", "pretrain", "vectors")}
    assert given == {"none": (None, None), "pretrain": ("weights.bin", None), "vectors": (None, "vectors")}


def test_lines_of_white_space_part_sentences(tmp_path: Path) -> None:
    (tmp_path / "in.conll").write_text(f"{ENTITIES}\t\n{ENTITIES}\n", encoding="utf8")
    result = CliRunner().invoke(load_script("convert").app, ["ner", f"{tmp_path}/in.conll", f"{tmp_path}/out.spacy"])
    assert "2 sentences, 10 tokens, 4 entities" in result.output
    doc, _ = DocBin().from_disk(tmp_path / "out.spacy").get_docs(spacy.blank("en").vocab)
    assert [(entity.text, entity.label_) for entity in doc.ents] == [("Marie Curie", "person"), ("Paris", "location")]
    assert [token.ent_iob_ for token in doc] == ["B", "I", "O", "O", "B"]
    assert len(list(doc.sents)) == 1


def test_a_treebank_is_converted_as_spacy_does(project: Path, tmp_path: Path) -> None:
    plain = SAMPLE / "ewt" / "dev.conllu"
    app = load_script("convert").app
    result = CliRunner().invoke(app, ["ud", str(project / "treebank.conllu.gz"), str(tmp_path / "out.spacy")])
    assert "12 sentences" in result.output
    vocab = spacy.blank("en").vocab
    expected = conllu_to_docs(plain.read_text(encoding="utf8"), n_sents=1, no_print=True)
    for doc, other in zip(DocBin().from_disk(tmp_path / "out.spacy").get_docs(vocab), expected):
        assert [(token.text, token.tag_, token.dep_, token.head.i, token.is_sent_start) for token in doc] == [
            (token.text, token.tag_, token.dep_, token.head.i, token.is_sent_start) for token in other
        ]


def test_text_is_read_again_until_the_time_is_up(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("Too short .\n\nOne line of just six tokens\n", encoding="utf8")
    create = load_script("timed_text").create_timed_text_reader_v1
    reader = create(str(tmp_path / "text.txt"), seconds=0.05, min_length=4, max_length=6)
    begin = time.process_time()
    texts = [doc.text for doc in reader(spacy.blank("en"))]
    assert time.process_time() - begin >= 0.05
    assert len(texts) > 2
    assert set(texts) == {"One line of just six tokens"}


def test_speed_is_measured_without_a_transformer_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = load_script("speed")
    monkeypatch.setattr(speed, "find_spec", lambda name: None)
    monkeypatch.chdir(project)
    convert = load_script("convert").app
    assert CliRunner().invoke(convert, ["ud", "treebank.conllu.gz", "treebank.spacy"]).exit_code == 0
    app = typer.Typer()
    app.command(context_settings=speed.CONTEXT)(speed.main)
    command = ["configs/ud.cfg", "speed.json", "--features", "none", "--rounds", "1"]
    result = CliRunner().invoke(app, [*command, "--paths.train", "treebank.spacy", "--paths.test", "treebank.spacy"])
    assert result.exit_code == 0, result.output
    assert "no row for a transformer" in result.output
    assert json.loads((project / "speed.json").read_text(encoding="utf8")).keys() == {"none"}


@pytest.mark.slow
def test_speed_of_the_same_components_over_a_transformer(project: Path, run_project: Any) -> None:
    pytest.importorskip("spacy_transformers", reason="a transformer is measured")
    done = run_project(project, "transformer", **TINY)
    assert done.code == 0, done.output
    speeds = json.loads((project / "metrics" / "speed.json").read_text(encoding="utf8"))
    assert set(speeds) == {"none", "glomo", "elmo", "mogrifier", "all", "transformer"}
    assert all(speed > 0 for speed in speeds.values())


def test_every_workflow_begins_with_verify() -> None:
    workflows = load_project_config(PROJECT)["workflows"]
    assert {steps[0] for steps in workflows.values()} == {"verify"}


def test_the_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated


def read_config(path: Path) -> Dict[str, Any]:
    return dict(spacy.util.load_config(path, interpolate=True))


def begins_with(config: Dict[str, Any]) -> Tuple[Any, Any]:
    return config["initialize"]["init_tok2vec"], config["initialize"]["vectors"]


def load_script(name: str) -> Any:
    return spacy.util.import_file(f"ud_ner_{name}", PROJECT / "scripts" / f"{name}.py")
