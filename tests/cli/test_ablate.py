"""Features, amounts of data and seeds from one config: every cell once, the tables from what is finished."""

import json
import random
import shutil
import signal
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Dict, List

import numpy as np
import pytest
import spacy
from spacy.cli.train import train
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from typer.testing import CliRunner

from glomo_spacy.cli import _ablation_work, app
from glomo_spacy.cli._ablation_cell import read_counts, read_result, score, words_per_second
from glomo_spacy.cli._ablation_figures import Figures
from glomo_spacy.cli._ablation_plan import Ablation, Cell
from glomo_spacy.cli.ablate import ablate

CONFIG = """
[paths]
folder = "."

[system]
seed = 0

[nlp]
lang = "en"
pipeline = ["tok2vec", "tagger"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy.HashEmbedCNN.v2"
width = 8
depth = 1
embed_size = 100
window_size = 1
maxout_pieces = 2
subword_features = false
pretrained_vectors = null

[components.tagger]
factory = "tagger"

[components.tagger.model]
@architectures = "spacy.Tagger.v2"

[components.tagger.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = ${components.tok2vec.model.width}

[corpora]

[corpora.train]
@readers = "spacy.Corpus.v1"
path = "${paths.folder}/train.spacy"

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = "${paths.folder}/dev.spacy"

[corpora.test]
@readers = "spacy.Corpus.v1"
path = "${paths.folder}/test.spacy"

[training]
seed = ${system.seed}
gpu_allocator = null
max_steps = 50
eval_frequency = ${training.max_steps}

[training.optimizer]
@optimizers = "Adam.v1"
learn_rate = 0.001

[initialize]
vectors = null

[ablation]
sizes = [0.2, 1.0]
seeds = [[1, 2], [1]]
scores = ["tag_acc"]
test = "corpora.test"
max_steps = [2, 4]

[ablation.features]

[ablation.features.none]

[ablation.features.both]

[ablation.features.both.model]
@architectures = "glomo_spacy.Concat.v1"

[ablation.features.both.model.tok2vecs]
a = ${components.tok2vec.model}
b = ${components.tok2vec.model}

[ablation.features.both.overrides]
training.optimizer.learn_rate = 0.02
"""
CELLS = [("none", 0.2, 1), ("both", 0.2, 1), ("none", 0.2, 2), ("both", 0.2, 2), ("none", 1.0, 1), ("both", 1.0, 1)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tagged sentences and the config."""
    folder = tmp_path_factory.mktemp("data")
    generator = random.Random(0)
    vocab = spacy.blank("en").vocab
    nouns, verbs = ["dog", "cat", "bird", "fish"], ["sees", "hears", "likes"]
    for name, n_docs in (("train", 30), ("dev", 3), ("test", 12)):
        docs = []
        for _ in range(n_docs):
            words = ["the", generator.choice(nouns), generator.choice(verbs), "a", generator.choice(nouns)]
            docs.append(Doc(vocab, words=words, tags=["DT", "NN", "VB", "DT", "NN"]))
        DocBin(docs=docs).to_disk(folder / f"{name}.spacy")
    (folder / "ablation.cfg").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of all cells. Copy it before you change it."""
    output = tmp_path_factory.mktemp("finished") / "out"
    ablate(data / "ablation.cfg", output, overrides={"paths.folder": str(data)})
    return output


def run(data: Path, output: Path, *args: object) -> Any:
    paths = ["ablate", data / "ablation.cfg", "-o", output, "--paths.folder", data]
    return CliRunner().invoke(app, [*map(str, paths), *map(str, args)])


def again(data: Path, output: Path, **settings: Any) -> Figures:
    overrides = {"paths.folder": str(data), **settings.pop("overrides", {})}
    return ablate(data / "ablation.cfg", output, overrides=overrides, **settings)


def plan(data: Path, **overrides: Any) -> Ablation:
    return Ablation(data / "ablation.cfg", {"paths.folder": str(data), **overrides})


def read_examples(data: Path, nlp: Language) -> List[Example]:
    """The test corpus."""
    return list(Corpus(data / "test.spacy")(nlp))


def results(output: Path) -> Dict[str, int]:
    """When each cell was finished."""
    return {str(path.parent.relative_to(output)): path.stat().st_mtime_ns for path in output.rglob("result.json")}


# --- The plan ---------------------------------------------------------------------------------------------------------


def test_small_sizes_come_first_and_features_side_by_side(data: Path) -> None:
    assert plan(data).cells() == [Cell(*cell) for cell in CELLS]


def test_a_part_can_be_chosen(data: Path) -> None:
    assert plan(data).cells(["both"], [0.2], [2]) == [Cell("both", 0.2, 2)]


@pytest.mark.parametrize(
    "chosen, message",
    [
        ({"features": ["elmo"]}, r"\[G100\] --features = 'elmo' is not available. Choose one of: none, both"),
        ({"sizes": [0.5]}, r"\[G100\] --sizes = 0.5 is not available. Choose one of: 0.2, 1.0"),
        ({"seeds": [3]}, r"\[G100\] --seeds = 3 is not available. Choose one of: 1, 2"),
    ],
)
def test_a_part_that_is_not_there_is_named(data: Path, chosen: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(data).cells(**chosen)


def test_a_cell_is_a_training_config_of_its_own(data: Path) -> None:
    config = plan(data).config_of(Cell("none", 0.2, 2))
    assert "ablation" not in config
    assert config["training"]["seed"] == config["system"]["seed"] == 2
    assert config["training"]["max_steps"] == config["training"]["eval_frequency"] == 2
    assert config["corpora"]["train"]["share"] == 0.2
    assert config["corpora"]["train"]["corpus"]["path"] == f"{data}/train.spacy"
    assert "${" not in config.to_str()


def test_a_model_takes_the_place_of_the_target_and_may_refer_to_it(data: Path) -> None:
    ablation = plan(data)
    before = ablation.config_of(Cell("none", 1.0, 1))["components"]
    after = ablation.config_of(Cell("both", 1.0, 1))["components"]
    assert after["tok2vec"]["model"]["tok2vecs"] == {"a": before["tok2vec"]["model"], "b": before["tok2vec"]["model"]}
    assert before["tagger"]["model"]["tok2vec"]["width"] == 8
    assert after["tagger"]["model"]["tok2vec"]["width"] == 16


def test_references_of_a_model_mean_the_config_with_overrides(data: Path) -> None:
    feature = {"model": "${components.other}", "overrides": {"components.other.width": 6}}
    other = {"@architectures": "spacy.HashEmbedCNN.v2", "width": 4, "depth": 1, "embed_size": 10, "window_size": 1}
    other |= {"maxout_pieces": 2, "subword_features": False, "pretrained_vectors": None}
    ablation = plan(data, **{"components.other": other, "ablation.features": {"other": feature}})
    components = ablation.config_of(Cell("other", 1.0, 1))["components"]
    assert components["tok2vec"]["model"] == {**other, "width": 6}
    assert components["tagger"]["model"]["tok2vec"]["width"] == 6


def test_overrides_of_a_feature_are_its_own(data: Path) -> None:
    ablation = plan(data)
    rates = {name: ablation.config_of(Cell(name, 1.0, 1))["training"]["optimizer"] for name in ("none", "both")}
    assert {name: rate["learn_rate"] for name, rate in rates.items()} == {"none": 0.001, "both": 0.02}


def test_listeners_follow_an_override_and_others_are_left_alone(data: Path) -> None:
    own = {"@architectures": "spacy.Tok2VecListener.v1", "width": 3, "upstream": "other"}
    overrides = {"components.tok2vec.model.width": 5, "components.tagger.more": own}
    ablation = plan(data, **{"ablation.features": {"narrow": {"overrides": overrides}}})
    tagger = ablation.config_of(Cell("narrow", 1.0, 1))["components"]["tagger"]
    assert tagger["model"]["tok2vec"]["width"] == 5
    assert tagger["more"]["width"] == 3


def test_passes_replace_steps(data: Path) -> None:
    training = plan(data, **{"ablation.passes": 7, "ablation.max_steps": None}).config_of(Cell("none", 0.2, 1))[
        "training"
    ]
    assert (training["max_epochs"], training["max_steps"]) == (7, 0)


def test_seeds_may_be_the_same_for_all_sizes(data: Path) -> None:
    cells = plan(data, **{"ablation.seeds": [4, 5]}).cells(["none"])
    assert [(cell.size, cell.seed) for cell in cells] == [(0.2, 4), (0.2, 5), (1.0, 4), (1.0, 5)]


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"ablation.sizes": [0.0]}, r"\[G141\] ablation.sizes must be shares above 0, at most 1, but is \[0.0\]"),
        ({"ablation.sizes": []}, r"\[G141\] ablation.sizes must be shares"),
        ({"ablation.sizes": [0.5]}, r"\[G141\] ablation.seeds must be seeds, or one list of them per size"),
        ({"ablation.seeds": [1, 1]}, r"\[G141\] ablation.seeds must be seeds"),
        ({"ablation.seeds": []}, r"\[G141\] ablation.seeds must be seeds"),
        ({"ablation.max_steps": [1]}, r"\[G141\] ablation.max_steps must be a whole number above 0, or one per size"),
        ({"ablation.passes": 0}, r"\[G141\] ablation.passes must be a whole number above 0"),
        ({"ablation.scores": [1]}, r"\[G141\] ablation.scores must be names of scores"),
        ({"ablation.features": {}}, r"\[G141\] ablation.features must be at least one sub-section"),
        ({"ablation.features": {"a/b": {}}}, r"\[G141\] ablation.features.a/b must be named by letters"),
        ({"ablation.features": {"a": {"model": 1}}}, r"\[G141\] ablation.features.a must be a section of sections"),
        ({"ablation.features": {"a": {"modle": {}}}}, r"\[G140\] ablation.features.a.modle is not a setting"),
        ({"ablation.evaluate": "first"}, r"\[G100\] ablation.evaluate = 'first' is not available. .* last, best"),
        ({"ablation.test": "corpora.nope"}, r"\[G970\] .*ablation.cfg: ablation.test names 'corpora.nope', but"),
        ({"ablation.size": [1]}, r"\[G140\] ablation.size is not a setting. Nearest: ablation.sizes"),
    ],
)
def test_a_wrong_setting_is_named(data: Path, overrides: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(data, **overrides)


def test_a_config_without_the_section_is_one_clear_error(data: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.cfg").write_text("[nlp]\nlang = 'en'\n")
    with pytest.raises(ValueError, match=r"\[G142\] \[ablation\] lacks: the section itself"):
        Ablation(tmp_path / "plain.cfg")


@pytest.mark.parametrize(
    "feature, message",
    [
        ({"overrides": {"trainign.dropout": 0.1}}, r"\[G140\] trainign.dropout is not a setting. Nearest: .*training"),
        (
            {"model": {"@architectures": "no.Such.v1"}},
            r"\[G971\] The model of \[ablation.features.new\] cannot be built",
        ),
        (
            {"overrides": {"training.train_corpus": "corpora.more"}},
            r"\[G970\] .*training.train_corpus names 'corpora.m",
        ),
    ],
)
def test_a_feature_that_cannot_be_is_named_before_any_training(
    data: Path, tmp_path: Path, feature: Dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        again(data, tmp_path, overrides={"ablation.features": {"none": {}, "new": feature}})
    assert not any(tmp_path.iterdir())


def test_a_model_that_does_not_know_its_width_asks_for_it(data: Path) -> None:
    model = {"@architectures": "glomo_spacy.WordVectors.v1"}
    with pytest.raises(
        ValueError, match=r"\[G971\] .*it says its width only after initialize. Set the width of its li"
    ):
        plan(data, **{"ablation.features": {"vectors": {"model": model}}}).config_of(Cell("vectors", 1.0, 1))


# --- Cells ------------------------------------------------------------------------------------------------------------


def test_every_cell_has_its_files_and_no_model(finished: Path) -> None:
    assert set(results(finished)) == {f"cells/{feature}/{size:g}/{seed}" for feature, size, seed in CELLS}
    names = {"config.cfg", "train.log", "counts.npz", "result.json"}
    assert all({path.name for path in cell.iterdir()} == names for cell in finished.glob("cells/*/*/*"))


def test_a_result_holds_scores_speed_size_and_time(finished: Path) -> None:
    result = read_result(finished / "cells/none/1/1")
    assert result["documents"] == 12
    assert result["words"] == 60
    assert 0 < result["scores"]["tag_acc"] <= 1
    assert result["speed"] > 100
    assert 10_000 < result["bytes"] < 10_000_000
    assert result["seconds"] > 0
    assert read_counts(finished / "cells/none/1/1")["tag_acc"].shape == (12, 1, 3)


def test_a_cell_is_what_spacy_train_makes_of_its_config(finished: Path, data: Path, tmp_path: Path) -> None:
    cell = finished / "cells/both/1/1"
    train(cell / "config.cfg", tmp_path)
    nlp = spacy.load(tmp_path / "model-last")
    assert nlp.evaluate(read_examples(data, nlp))["tag_acc"] == read_result(cell)["scores"]["tag_acc"]


def test_seeds_and_features_make_a_difference(finished: Path) -> None:
    places = ("none/0.2/1", "none/0.2/2", "both/0.2/1")
    assert len({json.dumps(read_result(finished / "cells" / place)["scores"]["tag_acc"]) for place in places}) > 1


def test_the_best_pipeline_can_be_scored_and_kept(data: Path, tmp_path: Path) -> None:
    # A rate of 1000 makes it worse with every step, so that the best is the one after the first.
    overrides = {"ablation.evaluate": "best", "training.optimizer.learn_rate": 1000, "ablation.max_steps": [4, 4]}
    again(data, tmp_path, features=["none"], sizes=[1.0], keep_models=True, overrides=overrides)
    cell = tmp_path / "cells/none/1/1"
    result = read_result(cell)
    assert result["evaluate"] == "best"
    assert result["bytes"] == sum(path.stat().st_size for path in (cell / "model").rglob("*") if path.is_file())
    nlp = spacy.load(cell / "model")
    assert score(nlp, read_examples(data, nlp)) == result["scores"]


def test_a_failed_cell_does_not_stop_others(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(output / "cells/none/1/1")
    bad = {"overrides": {"initialize.vectors": "no_such_vectors"}}
    overrides = {"ablation.features": {"bad": bad, "none": {}}}
    message = (
        r"\[G969\] 1 of 2 cells failed. The first, bad, 100 %, seed 1: OSError: .*no_such_vectors.* Its train.log in"
    )
    with pytest.raises(RuntimeError, match=message):
        again(data, output, sizes=[1.0], overrides=overrides)
    assert "cells/none/1/1" in results(output)
    assert "Traceback" in (output / "cells/bad/1/1/train.log").read_text()


def test_an_empty_test_corpus_is_named(data: Path, tmp_path: Path) -> None:
    DocBin().to_disk(tmp_path / "empty.spacy")
    overrides = {"corpora.test.path": str(tmp_path / "empty.spacy")}
    with pytest.raises(RuntimeError, match=r"\[G972\] The corpus 'corpora.test' holds nothing to score"):
        again(data, tmp_path, features=["none"], sizes=[1.0], overrides=overrides)


def test_speed_is_measured_on_documents_that_stay_as_they_are() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    docs = [nlp.make_doc("One two. Three four.") for _ in range(9)]
    times = iter(range(100))
    assert words_per_second(nlp, docs, clock=lambda: float(next(times))) == 12.0  # two documents of six words
    assert not any(doc.has_annotation("SENT_START") for doc in docs)


def test_one_document_is_too_short_for_a_speed() -> None:
    nlp = spacy.blank("en")
    assert words_per_second(nlp, [nlp.make_doc("One.")], clock=iter(map(float, range(9))).__next__) is None
    assert words_per_second(nlp, [], clock=float) is None


# --- Going on ---------------------------------------------------------------------------------------------------------


def test_finished_cells_are_kept_and_a_stopped_one_is_made_afresh(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    cell = output / "cells/both/0.2/2"
    expected = read_result(cell)["scores"]
    (cell / "result.json").unlink()
    (cell / "training").mkdir()
    (cell / "training" / "left.txt").touch()
    before = results(output)
    done = run(data, output)
    assert done.exit_code == 0, done.output
    assert "5 finished cells are kept, 1 are to be made." in done.output
    assert "✔ 1/1 both, 20 %, seed 2: tag_acc " in done.output
    assert read_result(cell)["scores"] == expected
    assert not (cell / "training").exists()
    assert results(output).items() >= before.items()


def test_a_changed_config_is_refused_with_what_changed(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    before = results(output)
    message = (
        r"\[G975\] .*cells/none/0.2/1 was made with other settings: components.tok2vec.model.width was 8, is 4; "
        r"components.tagger.model.tok2vec.width was 8, is 4\. Restore them"
    )
    with pytest.raises(ValueError, match=message):
        again(data, output, overrides={"components.tok2vec.model.width": 4})
    assert results(output) == before


def test_a_path_that_only_another_feature_reads_is_no_change(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    before = results(output)
    assert again(data, output, overrides={"paths.vectors": "elsewhere"}).n_finished == 6
    assert results(output) == before


def test_force_makes_only_changed_cells_again(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    before = results(output)
    again(data, output, features=["none"], overrides={"ablation.max_steps": [2, 5]}, force=True)
    after = results(output)
    assert {cell for cell in before if before[cell] != after[cell]} == {"cells/none/1/1"}


def test_another_way_to_score_is_another_setting(finished: Path, data: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G975\] .*: ablation.evaluate was last, is best\. Restore"):
        again(data, finished, overrides={"ablation.evaluate": "best"})


def test_other_scores_and_fewer_seeds_are_no_change(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    overrides = {"ablation.scores": ["pos_acc", "tag_acc"], "ablation.seeds": [2], "ablation.sizes": [0.2]}
    before = results(output)
    with pytest.raises(
        ValueError, match=r"\[G974\] No finished cell in .* has the score 'pos_acc'. Scores .*: tag_acc"
    ):
        again(data, output, overrides={**overrides, "ablation.max_steps": 2})
    assert results(output) == before


def test_ctrl_c_keeps_finished_cells(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    output = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(output / "cells/both/1/1")
    monkeypatch.setattr("glomo_spacy.cli._ablation_cell.init_nlp", stop)
    done = run(data, output)
    assert done.exit_code == 130
    assert "Stopped. Finished cells are kept; the same command goes on from there." in done.output
    assert len(results(output)) == 5
    assert not list(output.rglob("training"))


# --- Several processes ------------------------------------------------------------------------------------------------


def test_a_process_makes_cells_until_there_are_no_more(data: Path, tmp_path: Path) -> None:
    ablation = plan(data)
    jobs = _ablation_work.find_missing(ablation, ablation.cells(sizes=[1.0]), output=tmp_path)
    tasks: Any = SimpleQueue()
    messages: Any = SimpleQueue()
    for place in (1, None):
        tasks.put(place)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        _ablation_work._work(jobs, tasks, messages)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before):
            signal.signal(number, handler)
    assert messages.get() == (1, None)
    assert set(results(tmp_path)) == {"cells/both/1/1"}


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same_scores(finished: Path, data: Path, tmp_path: Path) -> None:
    again(data, tmp_path / "out", workers=2)
    cells = results(finished)
    assert cells.keys() == results(tmp_path / "out").keys()
    for cell in cells:
        first, second = (read_counts(output / cell)["tag_acc"] for output in (finished, tmp_path / "out"))
        np.testing.assert_array_equal(first, second)


# --- The tables -------------------------------------------------------------------------------------------------------


def test_rows_give_mean_deviation_and_difference(finished: Path, data: Path) -> None:
    figures = again(data, finished, table_only=True)
    assert (figures.n_finished, figures.n_cells) == (6, 6)
    first, second, *_ = figures.scores
    assert [(row.feature, row.size) for row in figures.scores] == [
        ("none", 0.2),
        ("both", 0.2),
        ("none", 1.0),
        ("both", 1.0),
    ]
    values = [read_result(finished / f"cells/both/0.2/{seed}")["scores"]["tag_acc"] for seed in (1, 2)]
    assert second.values == dict(zip((1, 2), values))
    assert second.mean == pytest.approx(np.mean(values))
    assert second.deviation == pytest.approx(np.std(values, ddof=1))
    assert second.difference == pytest.approx(second.mean - first.mean)
    assert second.low is not None
    assert second.high is not None
    assert second.low <= second.difference <= second.high
    assert second.errors == pytest.approx(-second.difference / (1 - first.mean))
    assert (first.difference, first.low, first.errors) == (None, None, None)


def test_tables_stand_in_markdown_and_json(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    done = run(data, output, "--table-only")
    assert done.exit_code == 0, done.output
    assert "tag_acc in percent" in done.output
    text = (output / "table.md").read_text(encoding="utf8")
    assert "| data | features | seeds | tag_acc | ± deviation | over none | 95 % interval | errors |" in text
    assert "| 20 % | both | 2 | " in text
    assert "| features | words/s | times none | MB | training |" in text
    record = json.loads((output / "table.json").read_text(encoding="utf8"))
    assert [row["feature"] for row in record["scores"]] == ["none", "both", "none", "both"]
    assert (output / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_an_unfinished_table_says_so_and_compares_common_seeds(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    shutil.rmtree(output / "cells/both/0.2/2")
    figures = again(data, output, table_only=True)
    none, both = figures.scores[:2]
    assert both.difference == pytest.approx(both.values[1] - none.values[1])
    assert "1 of 6 cells are not finished." in (output / "table.md").read_text(encoding="utf8")


def test_a_score_that_was_not_counted_has_no_interval(finished: Path, data: Path, tmp_path: Path) -> None:
    output = shutil.copytree(finished, tmp_path / "out")
    for path in output.rglob("counts.npz"):
        np.savez(path)
    both = again(data, output, table_only=True).scores[1]
    assert both.difference is not None
    assert (both.low, both.high) == (None, None)


def test_without_matplotlib_the_tables_are_there(
    finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    output = shutil.copytree(finished, tmp_path / "out")
    done = run(data, output, "--table-only")
    assert done.exit_code == 0
    assert (
        'No plot.png: [G012] This needs matplotlib, which is not installed: pip install "glomo-spacy[viz]"'
        in done.output
    )
    assert (output / "table.md").is_file()


def test_nothing_finished_is_one_clear_line(data: Path, tmp_path: Path) -> None:
    done = run(data, tmp_path, "--table-only")
    assert done.exit_code == 1
    assert "[G974] No finished cell in" in done.output
    assert "none, since no cell is finished" in done.output


def test_functions_of_the_user_can_be_used(data: Path, tmp_path: Path) -> None:
    code = tmp_path / "functions.py"
    code.write_text(
        "from spacy.util import registry\n\n\n"
        "@registry.readers('test_ablate.two.v1')\n"
        "def create(path: str):\n"
        "    from itertools import islice\n"
        "    from spacy.training import Corpus\n\n"
        "    return lambda nlp: islice(Corpus(path)(nlp), 2)\n"
    )
    overrides = {"corpora.test": {"@readers": "test_ablate.two.v1", "path": f"{data}/test.spacy"}}
    again(data, tmp_path / "out", features=["none"], sizes=[1.0], code=code, overrides=overrides)
    assert read_result(tmp_path / "out/cells/none/1/1")["documents"] == 2
