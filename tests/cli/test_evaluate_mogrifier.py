"""`evaluate-lm` on Mogrifier language models: every method, searches on validation text alone, clear refusals."""

import json
import math
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from glomo_spacy.cli._app import app
from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentences import prepare_sentences
from glomo_spacy.indexers import VocabularyIndexer
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

WORDS = ["<S>", "</S>", "<UNK>", *"abcdef"]
LINES = ["a b c d", "b c strange d", "e f a", "f e d c b a"]


def save(directory: Path, **settings: Any) -> Path:
    torch.manual_seed(0)
    sizes = {"embedding_width": 5, "hidden_width": 5, "rounds": 2, "output_dropout": 0.3, "spelling_width": 4}
    model = LanguageModel(MogrifierConfig(len(WORDS), **{**sizes, **settings}))
    for parameter in model.parameters():
        parameter.data.mul_(2.0)
    save_checkpoint(directory, model, indexer=VocabularyIndexer(WORDS).config, vocab=WORDS, meta={})
    return directory


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("lm") / "model")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "test.txt"
    path.write_text("\n\n".join(LINES) + "\n")
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("corpus"), np.random.default_rng(0)
    for name, size in (("train", 60), ("dev", 12)):
        lines = (" ".join(rng.choice([*"abcdef"], size=6)) for _ in range(size))
        (folder / f"{name}.txt").write_text("\n".join(lines))
    settings = SentenceSettings(tokenized=True)
    prepare_sentences([str(folder / "train.txt")], folder / "corpus", settings=settings, dev=[str(folder / "dev.txt")])
    return folder / "corpus"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate-lm", *map(str, arguments)])


def measure(*arguments: object) -> Dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: Dict[str, Any] = json.loads(done.stdout)
    return found


def test_text_is_measured_as_one_line_of_words(checkpoint: Path, text: Path) -> None:
    measures = measure(checkpoint, text)
    model: Any = load_checkpoint(checkpoint)
    words = [word for line in LINES for word in [*line.split(), "</S>"]]
    bits = -model.score([words])[0][:-1].sum()  # spellings included
    n_bytes = sum(len(line) + 1 for line in LINES)
    assert measures["bits_per_byte"] == pytest.approx(bits / n_bytes, rel=1e-5)
    assert (measures["n_targets"], measures["n_tokens"], measures["n_unknown"]) == (21, 17, 1)
    assert measures["n_words"] == len(WORDS)
    assert measures["perplexity"] == pytest.approx(math.exp(measures["loss"]))
    assert measures["method"] == {"name": "static", "temperature": 1.0, "window": 70, "batch_size": 1}
    assert measures["searched"] == []


def test_corpus_is_measured_like_its_text(checkpoint: Path, corpus: Path) -> None:
    from_text = measure(checkpoint, corpus.parent / "dev.txt")
    from_corpus = measure(checkpoint, corpus, "--window", 13)
    assert from_corpus["loss"] == pytest.approx(from_text["loss"], rel=1e-6)
    assert measure(checkpoint, corpus, "--split", "train")["n_tokens"] == 360


def test_unknown_token_of_the_text_has_no_spelling(checkpoint: Path, text: Path) -> None:
    measures = measure(checkpoint, text, "--unknown", "strange")
    assert measures["n_unknown"] == 1
    assert measures["bits_per_byte"] is None


def test_text_can_be_cut_short_and_divided(checkpoint: Path, corpus: Path) -> None:
    assert measure(checkpoint, corpus, "--max-tokens", 9)["n_targets"] == 9
    divided = measure(checkpoint, corpus, "--split", "train", "--batch-size", 4, "--window", 1)
    assert divided["n_targets"] == 420
    assert divided["method"]["batch_size"] == 4


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_monte_carlo_is_the_same_for_the_same_seed(checkpoint: Path, text: Path, mean: str) -> None:
    options = ("--monte-carlo", 3, "--mean", mean)
    first, again = (measure(checkpoint, text, *options, "--seed", 7) for _ in range(2))
    assert first == again
    assert first["method"]["mean"] == mean
    assert first["method"]["n_samples"] == 3
    losses = {measure(checkpoint, text, *given)["loss"] for given in ((), (*options, "--seed", 8))}
    assert first["loss"] not in losses


def test_temperature_is_used_and_searched_on_validation_text(checkpoint: Path, text: Path, corpus: Path) -> None:
    warm = measure(checkpoint, text, "--temperature", 1.4)
    assert warm["loss"] != measure(checkpoint, text)["loss"]
    found = measure(checkpoint, text, "--search-temperature", "--validation", corpus, "--search-tokens", 40)
    best = min(found["searched"], key=lambda tried: tried["perplexity"])
    assert found["method"]["temperature"] == best["temperature"]
    on_validation = measure(checkpoint, corpus, "--temperature", best["temperature"], "--max-tokens", 40)
    assert best["perplexity"] == pytest.approx(on_validation["perplexity"], rel=1e-6)


def test_dynamic_evaluation_without_a_rate_is_static(checkpoint: Path, text: Path, corpus: Path) -> None:
    still = measure(checkpoint, text, "--dynamic", "--learn-rate", 0, "--train", corpus)
    assert still["loss"] == pytest.approx(measure(checkpoint, text)["loss"], rel=1e-5)
    assert still["method"] == {
        "name": "dynamic",
        "learn_rate": 0.0,
        "decay": 0.02,
        "epsilon": 0.001,
        "temperature": 1.0,
        "window": 20,
        "batch_size": 1,
    }


def test_dynamic_rates_are_searched_on_validation_text(checkpoint: Path, corpus: Path) -> None:
    options = ("--dynamic", "--learn-rate", 0.001, "--learn-rate", 0.01, "--learn-rate", 1e30, "--statistics", 3)
    found = measure(checkpoint, corpus, *options, "--decay", 0, "--epsilon", 0.1, "--search-tokens", 70)
    tried = {setting["learn_rate"]: setting["perplexity"] for setting in found["searched"]}
    assert list(tried) == [0.001, 0.01, 1e30]
    assert tried[1e30] is None  # it diverged
    best = min((0.001, 0.01), key=lambda rate: tried[rate])
    assert found["method"]["learn_rate"] == best
    assert found["method"]["decay"] == 0.0


def test_transformer_reads_windows_of_its_own_length(tmp_path: Path, text: Path) -> None:
    settings = {"cell": "transformer", "hidden_width": 8, "n_heads": 2, "ffn_width": 8, "spelling_width": None}
    directory = save(tmp_path / "lm", **settings)
    model: Any = load_checkpoint(directory)
    measures = measure(directory, text)
    assert measures["method"]["window"] == model.config.window
    assert measures["bits_per_byte"] is None


def test_table_names_method_and_what_was_tried(checkpoint: Path, text: Path, tmp_path: Path) -> None:
    done = run(checkpoint, text, "--search-temperature", "--validation", text, "--output", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "static, temperature " in lines["method"]
    assert "temperature 1.118, perplexity" in done.stdout
    assert "bits per byte" in done.stdout
    assert "9 words" in lines["vocabulary"]
    assert json.loads((tmp_path / "out.json").read_text())["n_targets"] == 21


@pytest.mark.parametrize(
    "options, message",
    [
        (("--dynamic",), "[G243] --train is needed, as the text that is measured is no prepared corpus"),
        (("--search-temperature",), "[G243] --validation is needed"),
        (("--dynamic", "--monte-carlo", 2), "[G241] --monte-carlo cannot be used with --dynamic"),
        (("--dynamic", "--batch-size", 2), "[G241] --batch-size cannot be used with --dynamic: columns would learn"),
        (("--temperature", 1, "--search-temperature"), "[G241] --temperature cannot be used with --search-tem"),
        (("--validation", "."), "[G241] --validation cannot be used where nothing is searched"),
        (("--temperature", 0), "[G101] temperature must be above 0"),
        (("--monte-carlo", 0), "[G101] monte_carlo must be at least 1"),
        (("--monte-carlo", 2, "--mean", "power"), "[G100] mean = 'power'"),
        (("--learn-rate", 0.1), "[G241] --learn-rate cannot be used without --dynamic"),
        (("--mean", "geometric"), "[G241] --mean cannot be used without --monte-carlo"),
        (("--max-tokens", 0), "[G908] max_tokens must be at least 1"),
        (("--batch-size", 0), "[G908] batch_size must be at least 1"),
        (("--split", "test"), None),
    ],
)
def test_what_cannot_be_done_is_one_line(checkpoint: Path, text: Path, options: tuple, message: str) -> None:
    done = run(checkpoint, text, *options)
    assert done.exit_code == (0 if message is None else 1)
    assert message is None or message in done.output


def test_model_without_words_or_dropout_is_refused(tmp_path: Path, text: Path) -> None:
    model = LanguageModel(MogrifierConfig(9, embedding_width=5, hidden_width=5))
    save_checkpoint(tmp_path / "ids", model, indexer={}, vocab=None, meta={})
    assert "[G242]" in run(tmp_path / "ids", text).output
    firm = save(tmp_path / "firm", output_dropout=0.0)
    assert "[G244]" in run(firm, text, "--monte-carlo", 2).output


@pytest.mark.parametrize("line, message", [("", "[G005]"), ("</S>", "[G318] There are no words to predict")])
def test_text_without_words_is_an_error(checkpoint: Path, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "empty.txt").write_text(f"{line}\n")
    done = run(checkpoint, tmp_path / "empty.txt")
    assert done.exit_code == 1
    assert message in done.output


def test_options_of_a_language_model_are_refused_for_other_kinds(elmo_checkpoint: str, text: Path) -> None:
    done = run(elmo_checkpoint, text, "--dynamic", "--learn-rate", 0.1)
    assert done.exit_code == 1
    assert "[G245] --dynamic, --learn-rate cannot be used with a model of kind 'elmo'" in done.output
