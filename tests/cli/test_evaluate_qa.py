"""The command that scores answers: predictions and mistakes here, pipelines in test_ask.py."""

import gzip
import json
from pathlib import Path
from typing import Any, Tuple

import pytest
import spacy
from squad_files import TINY, make_content, write_squad
from typer.testing import CliRunner

from glomo_spacy.cli import app


def run(*args: Any) -> Tuple[int, str]:
    result = CliRunner().invoke(app, ["evaluate-qa", *map(str, args)])
    return result.exit_code, result.stdout if result.exit_code == 0 else " ".join(result.output.split())


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Three right answers, one half right, to 20 questions; one to a question that is not among them."""
    answers = {"tiny01": "marta lind", "tiny02": "In 1862", "tiny05": "whale oil", "tiny12": "the den", "other": "x"}
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps({**answers, "tiny06": "Jonas"}))
    return path


def test_predictions_are_scored_over_all_questions(predictions: Path) -> None:
    code, output = run("--predictions", predictions, "--gold", TINY, "--json")
    assert code == 0
    measures = json.loads(output)
    assert measures == {"exact_match": 15.0, "f1": pytest.approx((3 + 2 / 3) * 5), "total": 20}


def test_packed_files_are_read_as_well(predictions: Path, tmp_path: Path) -> None:
    packed = []
    for path in (predictions, TINY):
        packed.append(tmp_path / f"{path.name}.gz")
        packed[-1].write_bytes(gzip.compress(path.read_bytes()))
    plain = run("--predictions", predictions, "--gold", TINY, "--json")
    assert run("--predictions", packed[0], "--gold", packed[1], "--json") == plain


def test_the_table_names_both_measures(predictions: Path) -> None:
    code, output = run("--predictions", predictions, "--gold", TINY, "--limit", 5)
    assert code == 0
    assert [line.split() for line in output.splitlines()] == [
        ["exact", "match", "60.0000", "%"],
        ["F1", "60.0000", "%"],
        ["questions", "5"],
    ]


@pytest.mark.parametrize(
    "args, text",
    [
        ([], "[G078] Give either a pipeline or --predictions, but there is neither."),
        (["pipeline", "--predictions", "p.json"], "[G078] Give either a pipeline or --predictions, but there is both."),
        (["--predictions", "p.json", "--output", "o.json"], "[G079] --output is for pipelines, but --predictions are"),
        (["--predictions", "p.json", "--batch-size", "3"], "[G079] --batch-size is for pipelines"),
        (["--predictions", "none.json"], "[G004] No file matches 'none.json'"),
        (["no_such_pipeline"], "[G125] There is no pipeline 'no_such_pipeline'"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(args: Any, text: str) -> None:
    code, output = run(*args, "--gold", TINY)
    assert code == 1
    assert text in output


@pytest.mark.parametrize(
    "content, text",
    [
        ("[1]", "holds no predictions: it is a list. Expected a JSON object"),
        ('{"tiny01": 7}', "holds no predictions: the answer to 'tiny01' is 7."),
        ('{"tiny01"', "holds no predictions: Expecting"),
    ],
)
def test_a_file_that_holds_no_predictions_is_named(content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(content)
    code, output = run("--predictions", tmp_path / "p.json", "--gold", TINY)
    assert code == 1
    assert "[G072]" in output
    assert text in output


def test_a_pipeline_that_answers_no_questions_is_refused(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "pipeline")
    code, output = run(tmp_path / "pipeline", "--gold", TINY)
    assert code == 1
    assert "[G099] The pipeline has no extractive_qa, but: sentencizer." in output


def test_unanswerable_questions_are_refused_or_left_out(predictions: Path, tmp_path: Path) -> None:
    content = make_content()
    content["data"][0]["paragraphs"][0]["qas"].append({"id": "q2", "question": "Who?", "answers": []})
    path = write_squad(tmp_path / "two.json", content)
    code, output = run("--predictions", predictions, "--gold", path)
    assert (code, "[G069]" in output) == (1, True)
    code, output = run("--predictions", predictions, "--gold", path, "--answerable-only", "--json")
    assert json.loads(output)["total"] == 1
