"""Questions from the command line: one answer or several, from texts, files and long files, and a page."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.cli._pipeline_answers import predict_answers
from glomo_spacy.cli.ask import answer, qa_pipeline
from glomo_spacy.corpora import SquadCorpus, prepare_squad, read_squad
from glomo_spacy.corpora.squad_alignment import windows
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import read_checkpoint
from glomo_spacy.models.qa.sources import load_sources
from glomo_spacy.training.reader_evaluation import Reading, predict
from glomo_spacy.training.reader_inputs import ReaderInputs

CONTEXT = "The dog sees the small cat.\n\nMarie Curie discovered radium in 1898, and the cat was asleep."
QUESTION = "Who sees the cat?"
GOLD = Path(__file__).parents[1] / "fixtures" / "squad_tiny.json"


def run(*args: object, text: str = "") -> Any:
    return CliRunner().invoke(app, ["ask", *map(str, args)], input=text)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(CONTEXT, encoding="utf8")
    return path


def test_the_answer_stands_in_the_text(text: Path, reader_checkpoint: str) -> None:
    result = run(QUESTION, text, "-m", reader_checkpoint, "--top-k", 3, "--json")
    assert result.exit_code == 0, result.output
    answers = json.loads(result.stdout)
    assert len(answers) == 3
    assert all(CONTEXT[item["start"] : item["end"]] == item["answer"] for item in answers)
    assert [item["score"] for item in answers] == sorted((item["score"] for item in answers), reverse=True)


def test_a_text_a_file_and_standard_input_give_one_answer(text: Path, reader_checkpoint: str) -> None:
    results = [run(QUESTION, source, "-m", reader_checkpoint, text=CONTEXT) for source in (CONTEXT, text, "-")]
    assert all(result.exit_code == 0 for result in results)
    (line,) = {result.stdout for result in results}
    _, (best,) = answer(qa_pipeline(reader_checkpoint), CONTEXT, QUESTION)
    assert line.startswith(f"{' '.join(best[0].text.split())}  ({best[1]:.2f})")


def test_a_saved_pipeline_answers_like_its_checkpoint(text: Path, reader_checkpoint: str, tmp_path: Path) -> None:
    qa_pipeline(reader_checkpoint).to_disk(tmp_path / "pipeline")
    saved = run(QUESTION, text, "--pipeline", tmp_path / "pipeline", "--json")
    assert json.loads(saved.stdout) == json.loads(run(QUESTION, text, "-m", reader_checkpoint, "--json").stdout)


def test_the_page_shows_answers_scores_and_graphs(text: Path, reader_checkpoint: str, tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    result = run(QUESTION, text, "-m", reader_checkpoint, "-k", 2, "--html", page)
    assert result.exit_code == 0, result.output
    (item,) = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf8"), re.DOTALL)[1])["items"]
    doc, answers = answer(qa_pipeline(reader_checkpoint), CONTEXT, QUESTION, top_k=2)
    words = [token.text for token in doc if not token.is_space]
    assert item["words"] == words
    assert [item["words"][start:end] for start, end, _ in item["answers"]] == [
        [token.text for token in span if not token.is_space] for span, _ in answers
    ]
    assert sum(item["starts"]) == pytest.approx(1.0, abs=0.01)
    assert [graph["label"] for graph in item["graphs"]] == [
        f"{direction} · mix {mix}" for direction in ("Looks back", "Looks ahead") for mix in (1, 2)
    ]
    assert len(item["graphs"][0]["mixture"]) == len(words)
    assert len(item["candidates"]) == len(item["graphs"][0]["mixture"][0]) == 2 * 3  # two heads of two layers, products


def test_the_page_of_a_long_text_shows_the_windows_of_the_answers(reader_checkpoint: str, tmp_path: Path) -> None:
    filler = "the dog sees the cat . " * 100
    page = tmp_path / "page.html"
    result = run(QUESTION, filler + CONTEXT + filler, "-m", reader_checkpoint, "-k", 9, "--html", page)
    assert result.exit_code == 0, result.output
    items = json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf8"), re.DOTALL)[1])["items"]
    doc, answers = answer(qa_pipeline(reader_checkpoint), filler + CONTEXT + filler, QUESTION, top_k=9)
    n_words = sum(not token.is_space for token in doc)
    assert 1 < len(items) < 9
    assert items[0]["name"] == answers[0][0].text
    assert {item["note"] for item in items} == {f"400 words of {n_words:,}: a window of the text."}
    shown = [" ".join(item["words"][start:end]) for item in items for start, end, _ in item["answers"]]
    assert sorted(shown) == sorted(" ".join(token.text for token in span if not token.is_space) for span, _ in answers)


@pytest.mark.parametrize(
    "args, message",
    [
        ((" ", CONTEXT), "[G090] A question must be a text with at least one word"),
        ((QUESTION, " "), "[G098] The context has no words to answer from"),
        ((QUESTION, "nowhere.txt"), "[G036] nowhere.txt looks like a file, but there is none"),
        ((QUESTION, CONTEXT, "--top-k", "0"), "[G101] top_k must be a whole number above 0, but is 0"),
    ],
)
def test_bad_input_is_one_clear_line(args: Any, message: str, reader_checkpoint: str) -> None:
    result = run(*args, "-m", reader_checkpoint)
    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.splitlines()) == 1


def test_what_to_answer_with_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glomo_spacy.cli.ask.PRETRAINED", "qa_not_there")
    missing = run(QUESTION, CONTEXT, "-m", "qa_not_there")
    assert missing.exit_code == 1
    assert "[G124] The packaged reader 'qa_not_there' is not in this installation" in missing.output
    assert "spacy project run pipeline" in missing.output
    gone = run(QUESTION, CONTEXT, "--pipeline", "nowhere")
    assert gone.exit_code == 1
    assert "[G125] There is no pipeline 'nowhere': " in gone.output


def test_evaluate_qa_scores_a_pipeline_and_writes_its_answers(reader_checkpoint: str, tmp_path: Path) -> None:
    qa_pipeline(reader_checkpoint).to_disk(tmp_path / "pipeline")
    command = ["evaluate-qa", str(tmp_path / "pipeline"), "--gold", str(GOLD)]
    result = CliRunner().invoke(app, [*command, "--output", str(tmp_path / "answers.json"), "--json"])
    assert result.exit_code == 0, result.output
    measures = json.loads(result.stdout.splitlines()[-1])
    again = CliRunner().invoke(
        app, ["evaluate-qa", "--predictions", str(tmp_path / "answers.json"), "--gold", str(GOLD), "--json"]
    )
    assert measures == json.loads(again.stdout)
    in_twos = CliRunner().invoke(app, [*command, "--batch-size", "2", "--json"])
    assert json.loads(in_twos.stdout.splitlines()[-1]) == measures
    assert 0.0 <= measures["exact_match"] <= measures["f1"] <= 100.0
    answers = json.loads((tmp_path / "answers.json").read_text(encoding="utf8"))
    assert len(answers) == measures["total"]


@pytest.mark.parametrize("window", [400, 20])
def test_a_pipeline_answers_what_its_training_run_predicts(
    window: int, reader_checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same checkpoint, by the loop's evaluation of a prepared corpus and by the component; windows included."""
    monkeypatch.setattr(
        "glomo_spacy.architectures.qa_batches.windows", partial(windows, size=window, stride=window // 2)
    )
    prepare_squad([GOLD], tmp_path / "corpus", dev=[])
    split = SquadCorpus(tmp_path / "corpus").split("train")
    model: Any = load_checkpoint(reader_checkpoint)
    checkpoint, sources = read_checkpoint(reader_checkpoint), load_sources(model.config)
    indexer = WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab or [])
    types = SquadCorpus(tmp_path / "corpus").types
    inputs = ReaderInputs(types, model.config, indexer=indexer, graphs=sources.graphs, elmo=sources.elmo)
    predicted = predict(model, inputs, split, reading=Reading(window, window // 2, batch_tokens=500))
    qa_pipeline(reader_checkpoint).to_disk(tmp_path / "pipeline")
    assert predict_answers(str(tmp_path / "pipeline"), read_squad(GOLD)) == predicted
