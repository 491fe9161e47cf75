"""The project `squad`, run as a user runs it, on a few questions with the tiny config."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from weasel.cli.document import project_document
from weasel.util import load_project_config

from glomo_spacy.models import read_checkpoint
from glomo_spacy.models.qa.sources import GraphSource

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "projects" / "squad"
PLACES = ["barn", "mill", "harbour", "tower", "chapel", "market", "bridge", "well"]
PEOPLE = ["Anna Berg", "Otto Lind", "Ida Holm", "Karl Dahl"]
GRAPHS = {
    "glove": "none",
    "glove-graphs": "inputs",
    "glove-trnn": "states",
    "uniform": "uniform",
    "elmo": "none",
    "elmo-graphs": "inputs",
    "elmo-trnn": "states",
}
VARIANTS = list(GRAPHS)
TINY = {
    "config": "../../configs/tiny/squad_reader.cfg",
    "size": "tiny",
    "train": "train.json",
    "dev": "dev.json",
    "text": "text.txt",
    "vector_width": 8,
    "vector_epochs": 1,
    "min_count": 1,
    "name": "tiny",
    "pipeline_name": "qa_tiny",
    "n_process": 1,
    "options": "--pretraining.max_steps 4 --pretraining.evaluate_every 2",
}
pytest.importorskip("gensim", reason="the project trains word vectors by gensim")
pytest.importorskip("matplotlib", reason="the project draws curves")


def copy_project(folder: Path) -> Path:
    """A copy of the project, with questions about who built what, and of the configs it refers to."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    generated = shutil.ignore_patterns(*load_project_config(PROJECT)["directories"], "project.lock")
    copy = shutil.copytree(PROJECT, folder / "projects" / "squad", ignore=generated)
    write_questions(copy / "train.json", PLACES[:6])
    write_questions(copy / "dev.json", PLACES[6:])
    (copy / "text.txt").write_text("The old barn stood by the mill. Anna Berg built it.\n" * 5, encoding="utf8")
    return copy


def write_questions(path: Path, places: List[str]) -> None:
    """A paragraph on each place, in the format of SQuAD."""
    paragraphs = []
    for number, place in enumerate(places):
        builder, year = PEOPLE[number % len(PEOPLE)], str(1700 + 10 * number)
        context = f"The {place} stands near the river. {builder} built the {place} in {year}, and it was painted red."
        asked = {f"Who built the {place}?": builder, f"When was the {place} built?": year}
        questions = [
            {
                "id": f"{path.stem}-{place}-{at}",
                "question": question,
                "answers": [{"text": text, "answer_start": context.index(text)}],
            }
            for at, (question, text) in enumerate(asked.items())
        ]
        paragraphs.append({"context": context, "qas": questions})
    content = {"version": "1.1", "data": [{"title": "Village", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content), encoding="utf8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("squad"))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf8"))


def test_all_measures_every_reader_and_makes_a_pipeline(project: Path, run_project: Any) -> None:
    done = run_project(project, "all", **TINY)
    assert done.code == 0, done.output
    rows = read(project / "metrics" / "table.json")
    assert [row["variant"] for row in rows] == VARIANTS
    assert [row["vectors"] for row in rows] == ["trained"] * 4 + ["none"] * 3
    for row in rows:
        assert row["runs"][0]["total"] == 4
        predictions = read(project / "metrics" / "tiny" / row["variant"] / "predictions.json")
        assert set(predictions) == {f"dev-{place}-{at}" for place in PLACES[6:] for at in (0, 1)}
        config = read_checkpoint(project / "training" / "tiny" / row["variant"] / "model-best").model
        assert config["graph"] == GRAPHS[row["variant"]]
        assert (config["n_words"] > 0, config["elmo_layers"] > 0) == (
            row["vectors"] == "trained",
            row["vectors"] == "none",
        )
    assert "word vectors + TRNN" in done.output
    assert (project / "metrics" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert read(project / "metrics" / "qa_tiny.predictions.json") == read(
        project / "metrics" / "tiny" / "glove-graphs" / "predictions.json"
    )
    nlp = spacy.load(project / "packaged" / "qa_tiny")
    doc = nlp.make_doc("Ida Holm built the well.")
    doc._.question = "Who built the well?"
    assert len(nlp(doc).spans["answers"][0]) > 0


def test_a_run_that_is_complete_is_measured_again_and_not_trained_again(project: Path, run_project: Any) -> None:
    assert run_project(project, "squad-glove", **TINY).code == 0
    metrics, weights = project / "metrics" / "tiny" / "glove", project / "training" / "tiny" / "glove" / "model-best"
    before, written = read(metrics / "figures.json"), (weights / "model.safetensors").stat().st_mtime_ns
    shutil.rmtree(metrics)
    done = run_project(project, "squad-glove", **TINY)
    assert done.code == 0, done.output
    assert read(metrics / "figures.json") == before
    assert (weights / "model.safetensors").stat().st_mtime_ns == written


def test_elmo_from_disk_is_elmo_computed(project: Path, run_project: Any) -> None:
    done = run_project(project, "extract", **TINY)
    assert done.code == 0, done.output
    stored = {"elmo_store": "features/elmo_trained", "name": "stored"}
    for workflow, variables in (("squad-elmo", TINY), ("squad-elmo", {**TINY, **stored})):
        done = run_project(project, workflow, **variables)
        assert done.code == 0, done.output
    one, other = (read(project / "metrics" / name / "elmo" / "figures.json") for name in ("tiny", "stored"))
    assert one["curve"] == other["curve"]


def test_graph_use_answers_as_the_reader_does_and_then_with_other_graphs(project: Path, run_project: Any) -> None:
    for workflow in ("squad-glove-graphs", "graph-use"):
        done = run_project(project, workflow, **TINY)
        assert done.code == 0, done.output
    metrics = project / "metrics" / "tiny" / "glove-graphs"
    use, figures = read(metrics / "graph_use.json"), read(metrics / "figures.json")
    assert list(use) == [
        "as trained", "learned heads look evenly", "without learned heads", "without fixed windows", "without graphs",
    ]  # fmt: skip
    assert use["as trained"]["f1"] == figures["f1"]
    assert len({row["loss"] for row in use.values()}) == len(use)
    assert 0 < use["as trained"]["learned_share"] < 1
    assert "learned heads have" in done.output


def test_graph_use_refuses_a_reader_without_graphs(project: Path, run_project: Any) -> None:
    for workflow, code in (("squad-glove", 0), ("graph-use", 1)):
        done = run_project(project, workflow, **{**TINY, "pipeline_variant": "glove"})
        assert done.code == code, done.output
    assert "was trained without learned graphs" in done.output


def test_even_graphs_look_at_all_other_tokens_of_one_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))
    mask = torch.tensor([[True, True, True], [True, True, False]])
    left, right = load_script("graph_use").even_graphs(mask)
    third = [[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0]]
    assert left[0, 0].tolist() == third
    assert right[0, 0].tolist() == [row[::-1] for row in third[::-1]]
    assert left[1, 0].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert right[1, 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def write_pipeline(path: Path, *components: str) -> Path:
    """A pipeline whose components know nothing yet."""
    nlp = spacy.blank("en")
    for name in components:
        nlp.add_pipe(name)
    words = {"heads": [1, 1, 1], "deps": ["nsubj", "ROOT", "punct"], "tags": ["NN", "VB", "."]}
    examples = [Example.from_dict(nlp.make_doc("She reads ."), words)]
    nlp.initialize(lambda: examples)
    nlp.to_disk(path)
    return path


def test_a_reader_along_trees_reads_those_of_the_parser(project: Path, run_project: Any) -> None:
    parser = write_pipeline(project / "parser", "parser")
    done = run_project(project, "trees", **TINY, parser=parser)
    assert done.code == 0, done.output
    rows = {row["variant"]: row["runs"] for row in read(project / "metrics" / "table.json")}
    assert rows["trees"][0]["total"] == 4
    assert "word vectors + trees of a parser" in done.output
    reader = read_checkpoint(project / "training" / "tiny" / "trees" / "model-best").model
    assert (reader["graph_layers"], reader["graph_heads"]) == (2, 5)
    source = GraphSource.load(str(project / reader["graph_source"]))
    words = ["Who", "built", "the", "bridge", "?"]
    nlp = spacy.load(parser)
    doc = nlp(Doc(nlp.vocab, words=words))
    ids = torch.from_numpy(source.indexer.ids(words))[None]
    to_head = sum(graphs[0, -1] for graphs in source.graphs(ids, torch.ones_like(ids, dtype=torch.bool))[::2])
    assert [row.nonzero().flatten().tolist() for row in to_head] == [
        [] if token.head == token else [token.head.i] for token in doc
    ]


def test_a_wrong_setting_is_one_line_that_names_the_right_ones(project: Path, run_project: Any) -> None:
    settings = {**TINY, "options": " --model.graph embeddings", "name": "wrong"}
    done = run_project(project, "squad-glove", **settings)
    assert done.code == 1
    error = "✘ [G100] graph = 'embeddings' is not available. Choose one of: none, inputs, states, uniform."
    assert error in done.output.splitlines()
    assert not any(line.startswith(("Traceback", "╭")) for line in done.output.splitlines())


def test_trees_need_a_parser(project: Path, run_project: Any) -> None:
    without = write_pipeline(project / "tagger", "tagger")
    for parser, message in (("", "Name a spaCy pipeline with a dependency parser"), (without, "it has tagger.")):
        done = run_project(project, "trees", **{**TINY, "vectors_name": "unparsed"}, parser=parser)
        assert done.code == 1
        assert message in done.output


# spaCy leaves a file of vectors without header open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_given_vectors_are_read_and_named_in_the_table(project: Path, run_project: Any) -> None:
    (project / "given.txt").write_text("the 1 0 0\nriver 0 1 0\nred 0 0 1\n", encoding="utf8")
    given = {**TINY, "vectors": "given.txt", "vectors_name": "given", "vectors_limit": 2, "name": "given"}
    done = run_project(project, "squad-glove", **given)
    assert done.code == 0, done.output
    assert "✔ vectors/given: 2 words of width 3; given.txt, first 2" in done.output
    assert read(project / "metrics" / "given" / "glove" / "figures.json")["vectors"] == "given"
    assert (project / "corpus" / "given" / "words.txt").read_text(encoding="utf8").split() == ["the", "river"]


def test_vectors_that_are_not_there_stop_the_workflow(project: Path, run_project: Any) -> None:
    done = run_project(project, "squad-glove", **{**TINY, "vectors": "glove.txt", "vectors_name": "missing"})
    assert done.code == 2
    assert "glove.txt is not a file. Leave it empty to train vectors." in " ".join(done.output.replace("│", "").split())
    assert not (project / "corpus" / "missing").exists()


def test_word_vectors_keep_case_and_know_questions(project: Path) -> None:
    script = load_script("vectors")
    script.main(
        project / "cased",
        file=None,
        limit=0,
        text=[str(project / "text.txt")],
        squad=[project / "train.json"],
        lang="en",
        width=4,
        window=2,
        min_count=1,
        epochs=1,
        seed=0,
        n_process=1,
        n_threads=1,
    )
    nlp = spacy.load(project / "cased")
    assert all(nlp.vocab[word].has_vector for word in ("The", "the", "Anna", "Who", "?"))
    assert not nlp.vocab["anna"].has_vector
    assert re.search(r"skip-gram on \d+ tokens of .*text.txt, .*train.json", nlp.meta["description"])


def figures(variant: str, seed: int, f1: float) -> Dict[str, Any]:
    run = {"variant": variant, "size": "sm", "vectors": "trained", "fraction": 0.2, "seed": seed, "minutes": 30.2}
    return {**run, "exact_match": f1 - 10, "f1": f1, "hardware": "1 x CPU", "threads": 2}


def test_the_table_gives_spread_and_paired_gain_over_seeds() -> None:
    table = load_script("table")
    plain, graphs = ("sm", "trained", 0.2, "glove"), ("sm", "trained", 0.2, "glove-graphs")
    runs = {
        plain: [figures("glove", 1, 70.0), figures("glove", 2, 72.0)],
        graphs: [figures("glove-graphs", 1, 71.0), figures("glove-graphs", 2, 74.0), figures("glove-graphs", 3, 90.0)],
    }
    assert table.table_row(plain, runs) == [
        *("word vectors", "sm", "trained", "20 %", "2", "61.00 ± 1.41", "71.00 ± 1.41", "", "30", "1 x CPU, threads: 2")
    ]
    assert table.table_row(graphs, runs)[4:8] == ["3", "68.33 ± 10.21", "78.33 ± 10.21", "+1.50 ± 0.71"]
    assert table.table_row(graphs, {graphs: runs[graphs][:1]})[5:8] == ["61.00", "71.00", ""]
    own = ("sm", "trained", 0.2, "glove with more dropout")
    assert table.table_row(own, {**runs, own: [figures("own", 1, 70.5)]})[::7] == ["glove with more dropout", "+0.50"]


def test_a_damaged_asset_stops_the_workflow_before_any_work(tmp_path: Path, run_project: Any) -> None:
    project = copy_project(tmp_path)
    asset = project / "assets" / "dev-v1.1.json"
    asset.parent.mkdir()
    asset.write_text("not the questions that were meant", encoding="utf8")
    done = run_project(project, "squad-glove", **TINY)
    assert done.code == 1
    assert "assets/dev-v1.1.json: SHA-256 is" in done.output
    assert not (project / "vectors" / "trained").exists()


def test_every_workflow_begins_with_verify() -> None:
    workflows: Dict[str, List[str]] = load_project_config(PROJECT)["workflows"]
    assert {steps[0] for steps in workflows.values()} == {"verify"}
    assert [f"train-{variant}" for variant in VARIANTS] == workflows["all"][3:10]


def test_every_asset_has_its_checksum_or_is_extra() -> None:
    sums = (PROJECT / "checksums.txt").read_text(encoding="utf8")
    for asset in load_project_config(PROJECT)["assets"]:
        assert asset.get("extra") or (asset["checksum"] and f"  {asset['dest']}\n" in sums)


def test_the_readers_differ_in_their_features_only() -> None:
    commands = {command["name"]: command["script"] for command in load_project_config(PROJECT)["commands"]}
    trained = [
        re.sub(r"--(model|pretraining|corpora\.elmo)\S* \S+ ?", "", commands[f"train-{name}"][0]) for name in VARIANTS
    ]
    assert len({line.replace(name, "VARIANT").strip() for name, line in zip(VARIANTS, trained)}) == 1


@pytest.mark.parametrize("size", ["sm", "paper"])
def test_every_size_has_its_config(size: str) -> None:
    values = load_project_config(PROJECT, overrides={"vars.size": size})
    assert (PROJECT / values["vars"]["config"]).is_file()


def test_the_readme_is_the_generated_one(tmp_path: Path) -> None:
    project_document(PROJECT, tmp_path / "README.md")
    generated = (tmp_path / "README.md").read_text(encoding="utf8").strip()
    assert (PROJECT / "README.md").read_text(encoding="utf8").strip() == generated


def load_script(name: str) -> Any:
    return spacy.util.import_file(name, PROJECT / "scripts" / f"{name}.py")
