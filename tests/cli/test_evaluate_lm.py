"""`evaluate-lm` on biLMs: text files and prepared corpora, exact numbers, clear refusals."""

import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from glomo_spacy.cli._app import app
from glomo_spacy.indexers import CharIndexer
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig

WORDS = ["<S>", "</S>", "<UNK>", "the", "cat", "sat", "."]
SMALL = {"filters": ((1, 4), (2, 4)), "char_width": 4, "n_highway": 1, "projection_width": 6, "cell_width": 8}
LINES = "the cat sat .\n\nthe dog sat\n"


def save(directory: Path, *, vocab=WORDS, **changes) -> Path:
    torch.manual_seed(0)
    indexer = CharIndexer()
    settings = {"softmax": "full", "vocab_size": len(vocab), **SMALL, **changes}
    model = BiLM(ElmoConfig(**settings))
    save_checkpoint(directory, model, indexer=indexer.config, vocab=vocab, meta={})
    return directory


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text(LINES)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate-lm", *map(str, arguments)])


def test_each_word_of_a_text_counts_once(tmp_path, text):
    done = run(save(tmp_path / "c"), text, "--json", "--batch-size", 1)
    assert done.exit_code == 0, done.output
    measures = json.loads(done.stdout)
    assert (measures["n_targets"], measures["n_tokens"], measures["n_unknown"]) == (9, 7, 1)  # two ends, one dog
    assert measures["unknown_rate"] == pytest.approx(1 / 7)
    assert measures["n_words"] == 7
    for direction in ("forward", "backward"):
        assert measures[f"perplexity_{direction}"] == pytest.approx(math.exp(measures[f"loss_{direction}"]))
    assert measures["loss"] == pytest.approx((measures["loss_forward"] + measures["loss_backward"]) / 2)


def test_the_loss_is_that_of_the_equations(tmp_path, text):
    directory = save(tmp_path / "c")
    measures = json.loads(run(directory, text, "--json", "--batch-size", 1).stdout)
    model = load_checkpoint(directory)
    vectors = {
        word: model.token_vectors(torch.from_numpy(model.indexer.ids([word]).astype("int64")))[0]
        for word in [*WORDS, "dog"]
    }
    for stack, name, reverse in ((model.forward_lm, "forward", False), (model.backward_lm, "backward", True)):
        state, losses = None, []
        for line in (["the", "cat", "sat", "."], ["the", "dog", "sat"]):  # the state goes on from line to line
            words = ["<S>", *line, "</S>"]
            words = words[::-1] if reverse else words
            for word, following in zip(words, words[1:]):
                layers, state = stack(vectors[word][None, None], state=state)
                logits = model.softmax.weight @ layers[-1][0, 0] + model.softmax.bias
                target = WORDS.index(following) if following in WORDS else 2
                losses.append(-torch.log_softmax(logits, 0)[target].item())
        assert measures[f"loss_{name}"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_raw_text_is_tokenised_and_a_table_is_shown(tmp_path):
    path = tmp_path / "raw.txt"
    path.write_text("the cat sat. the cat sat.")
    done = run(save(tmp_path / "c"), path, "--raw", "--output", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    assert "forward  " in done.stdout
    assert "backward  " in done.stdout
    assert "7 words" in done.stdout
    assert "0.00% of 8 tokens" in done.stdout
    assert json.loads((tmp_path / "out.json").read_text())["n_targets"] == 10


def test_a_forward_only_model_shows_one_direction(tmp_path, text):
    done = run(save(tmp_path / "c", directions="forward"), text)
    assert "forward  " in done.stdout
    assert "backward" not in done.stdout


def test_a_model_without_a_softmax_is_refused(tmp_path, text):
    model = BiLM(ElmoConfig(**SMALL))
    save_checkpoint(tmp_path / "c", model, indexer=CharIndexer().config, vocab=None, meta={})
    done = run(tmp_path / "c", text)
    assert done.exit_code == 1
    assert "[G154] The model has no soft-max" in done.output


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = run(save(tmp_path / "c"), tmp_path / "nothing.txt")
    assert done.exit_code == 1
    assert "[G004]" in done.output


def test_nothing_to_predict_is_an_error(tmp_path, text):
    done = run(save(tmp_path / "c"), text, "--max-batches", 0)
    assert done.exit_code == 1
    assert "[G318] There are no words to predict" in done.output


def test_a_glomo_model_is_measured_on_a_prepared_corpus_only(checkpoint, text):
    done = run(checkpoint, text)
    assert done.exit_code == 1
    assert "[G317]" in done.output
