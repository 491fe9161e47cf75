import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.cli.info import Report, info
from glomo_spacy.corpora.raw_text import CorpusSettings, prepare_corpus


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint to damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "broken"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    text = tmp_path / "text.txt"
    text.write_text("The cat sat.\n\nShe won two prizes.\n\nShe discovered radium.\n")
    settings = CorpusSettings(dev_documents=1)
    prepare_corpus([str(text)], tmp_path / "corpus", settings=settings)
    return tmp_path / "corpus"


def run(path: object) -> tuple:
    result = CliRunner().invoke(app, ["info", str(path)])
    return result.exit_code, result.output


def codes(report: Report) -> list:
    return [problem[1:5] for problem in report.problems]


def test_checkpoint_is_named_with_sizes_and_provenance(checkpoint: Path) -> None:
    code, output = run(checkpoint)
    assert code == 0, output
    lines = output.splitlines()
    assert lines[0] == f"Checkpoint of kind glomo: {checkpoint}"
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line.startswith("  ")}
    assert rows["n_heads"] == "3"
    assert rows["vocabulary"].startswith("13 words: N she discovered")
    assert rows["data.licence"] == "CC0"
    assert rows["stored"] == "as float32"
    assert lines[-1] == "✔ All files are whole and fit each other."


def test_corpus_is_named_with_splits_and_sources(corpus: Path) -> None:
    code, output = run(corpus)
    assert code == 0, output
    assert output.startswith(f"Prepared corpus: {corpus}")
    assert "documents 1, tokens" in output
    assert "text.txt" in output


def test_truncated_weights_are_named(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert codes(info(str(broken))) == ["G201", "G043"]
    code, output = run(broken)
    assert code == 1
    assert "✘ [G201]" in output


def test_every_problem_is_listed(broken: Path) -> None:
    state = load_file(broken / "model.safetensors")
    first, *others = sorted(name for name in state if state[name].is_floating_point())
    del state[first]
    state[others[0]][...] = torch.nan
    save_file(state, broken / "model.safetensors")
    report = info(str(broken))
    assert codes(report) == ["G202", "G041", "G043"]
    assert first in report.problems[0]
    assert others[0] in report.problems[1]


def test_vocabulary_of_another_size_is_named(broken: Path) -> None:
    (broken / "vocab.txt").write_text("only\n<unk>\n")
    assert codes(info(str(broken))) == ["G205", "G043"]


@pytest.mark.parametrize(
    "name, expected", [("meta.json", ["G200"]), ("vocab.txt", ["G042"]), ("config.cfg", ["G200", "G042"])]
)
def test_missing_file_is_named(broken: Path, name: str, expected: list) -> None:
    (broken / name).unlink()
    assert codes(info(str(broken))) == expected


def test_damaged_corpus_is_named(corpus: Path) -> None:
    shard = next(corpus.glob("train-*.ids.npy"))
    shard.write_bytes(shard.read_bytes()[:-3])
    assert codes(info(str(corpus))) == ["G902", "G043"]
    record = corpus / "corpus.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "format_version": 99}))
    assert codes(info(str(corpus)))[0] == "G904"


def test_another_folder_is_refused_and_checkpoints_in_it_are_named(checkpoint: Path) -> None:
    with pytest.raises(
        ValueError, match=r"\[G040\] .* is neither a checkpoint .* nor a prepared corpus.*Checkpoints in it: tiny\."
    ):
        info(str(checkpoint.parent))


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G122\]"):
        info(str(tmp_path / "nothing"))
