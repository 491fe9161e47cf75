"""The commands `pretrain` and `evaluate-lm`, and the entry that needs no spaCy."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.corpora.shard_writer import write_record
from glomo_spacy.training.__main__ import main

CONFIG = Path(__file__).parents[2] / "configs" / "tiny" / "pretrain_glomo.cfg"
SMALL = ["--model.width", "16", "--pretraining.max_steps", "4", "--pretraining.evaluate_every", "2"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    ids = np.random.default_rng(0).integers(20, size=400).astype(np.uint16)
    for split in ("train", "dev"):
        np.save(folder / f"{split}-00000.ids.npy", ids)
        np.save(folder / f"{split}-00000.docs.npy", np.array([0, 200, 400], dtype=np.int64))
    words = [f"w{index}" for index in range(19)] + ["<unk>"]
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    (folder / "counts.txt").write_text("".join(f"{count}\n" for count in np.bincount(ids, minlength=20)))
    indexer = {"kind": "words", "digits": True, "casing": "lower", "lang": "en"}
    splits = {split: {"shards": [f"{split}-00000"], "tokens": 400, "documents": 2} for split in ("train", "dev")}
    write_record(folder, record={"format_version": 1, "n_words": 20, "indexer": indexer, "splits": splits})
    return folder


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_pretrain_takes_overrides_and_evaluate_lm_gives_the_numbers_of_training(corpus, tmp_path):
    paths = ["--paths.corpus", str(corpus), "--paths.output", str(tmp_path / "run")]
    done = run("pretrain", str(CONFIG), *paths, *SMALL, "--pretraining.evaluation.n_positions=null", "--gpu-id", "-1")
    assert done.exit_code == 0, done.output
    assert "held-out" in done.output
    again = run("pretrain", str(CONFIG), *paths, *SMALL, "--pretraining.evaluation.n_positions=null", "--resume")
    assert again.exit_code == 0, again.output
    found = run(
        "evaluate-lm", str(tmp_path / "run" / "model-last"), str(corpus), "--bptt", "32", "--shift", "24",
        "--batch-size", "3", "--output", str(tmp_path / "measures.json"),
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    trained = [row for row in rows if row["event"] == "evaluation"][-1]
    measured = json.loads((tmp_path / "measures.json").read_text())
    for name in ("loss", "perplexity", "loss_left", "loss_right", "step_losses"):
        assert measured[name] == pytest.approx(trained[name], rel=1e-5), name
    assert f"{measured['loss']:.4f} nats per word" in found.output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--model.widht", "3"], "[G140] model.widht is not a setting. Nearest: model.width"),
        (["--width", "3"], "[G143] '--width' is not an override"),
        (["--paths.corpus", "nowhere"], "[G903] nowhere is not a prepared corpus"),
    ],
)
def test_a_mistake_is_one_clear_line_in_both_commands(arguments, message, tmp_path, capsys):
    arguments = [str(CONFIG), "--paths.corpus", "c", "--paths.output", str(tmp_path / "run"), *arguments]
    done = run("pretrain", *arguments)
    assert done.exit_code == 1
    assert f"✘ {message}" in done.output
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"✘ {message}")
    assert error.count("\n") == 1


def test_a_defect_keeps_its_traceback(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("glomo_spacy.training.__main__.pretrain_config", fail)
    with pytest.raises(ZeroDivisionError):
        main([str(CONFIG)])


def test_evaluate_lm_refuses_other_words(corpus, tmp_path):
    run("pretrain", str(CONFIG), "--paths.corpus", str(corpus), "--output", str(tmp_path / "run"), *SMALL)
    vocabulary = tmp_path / "run" / "model-last" / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("w3\n", "x3\n"))
    done = run("evaluate-lm", str(tmp_path / "run" / "model-last"), str(corpus))
    assert done.exit_code == 1
    assert "[G316]" in done.output or "[G207]" in done.output
