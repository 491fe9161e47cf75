"""The command `convert`, as a user runs it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from glomo_spacy.cli._app import app
from glomo_spacy.corpora.squad_prepare import prepare_squad
from glomo_spacy.indexers import CharIndexer
from glomo_spacy.models import read_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.packaged import find_weights

FIXTURE = Path(__file__).parents[1] / "fixtures" / "glomo" / "state_dict.pt"
BILM = Path(__file__).parents[1] / "fixtures" / "elmo" / "bilm_tf"

LSTM_PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
GATE_PARTS = (("weight", (2, 2)), ("bias", (2,)))


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["convert", *args])
    return result.exit_code, result.output


def test_convert_writes_a_checkpoint_and_says_what_it_left_out(tmp_path: Path) -> None:
    options = ("--from", "glomo", "--heads", "4", "--sparsity", "top-k", "--feature-predictor", "additive")
    code, output = run(str(FIXTURE), str(tmp_path / "out"), *options, "--top-k-rate", "2.5", "--dec-len", "4")
    assert code == 0, output
    assert "2 layers of 4 heads per direction" in output
    assert "st_predictor_fw.gru_cell.bias_hh" in output
    assert "takes word ids, not words" in output
    model = read_checkpoint(tmp_path / "out").model
    assert (model["sparsity"], model["feature_predictor"], model["top_k_rate"], model["dec_len"]) == (
        "top-k",
        "additive",
        2.5,
        4,
    )


def test_convert_reads_a_vocabulary_file(tmp_path: Path) -> None:
    words = [f"word{index}" for index in range(22)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n", encoding="utf8")
    options = ("--from", "glomo", "--heads", "4", "--sparsity", "threshold", "--vocab", str(tmp_path / "words.txt"))
    code, output = run(str(FIXTURE), str(tmp_path / "out"), *options)
    assert code == 0, output
    assert "No vocabulary" not in output
    assert read_checkpoint(tmp_path / "out").vocab == [*words, "<unk>"]


@pytest.mark.parametrize(
    "options, message",
    [
        (("--from", "elsewhere", "--heads", "4", "--sparsity", "relu"), "[G100] --from = 'elsewhere'"),
        (("--from", "glomo", "--heads", "5", "--sparsity", "relu"), "[G225] 5 heads do not divide"),
        (("--from", "glomo", "--heads", "4", "--sparsity", "none"), "[G100] sparsity = 'none'"),
        (("--from", "glomo", "--heads", "4", "--sparsity", "relu", "--vocab", "absent.txt"), "[G206] absent.txt"),
        (("--from", "glomo", "--sparsity", "relu"), "[G234] --from glomo needs --heads"),
        (("--from", "glomo"), "[G234] --from glomo needs --heads, --sparsity"),
        (("--from", "mogrifier-lstm"), "[G246]"),
        (
            ("--from", "mogrifier-lstm", "--heads", "4"),
            "--heads cannot be used with --from mogrifier-lstm. It takes: --v",
        ),
        ((), "[G232] Say once what to make: --from glomo, --from bilm or --from mogrifier-lstm"),
        (("--from", "bilm", "--export"), "Found: --from bilm and --export."),
        (("--to", "elsewhere"), "[G100] --to = 'elsewhere' is not available. Choose one of: bilm"),
        (
            ("--to", "bilm", "--heads", "4"),
            "[G233] --heads cannot be used with --to bilm. It takes: no further options",
        ),
        (("--from", "bilm", "--dtype", "float16", "--top-k-rate", "2"), "[G233] --dtype, --top-k-rate cannot be used"),
        (("--export", "--options", "options.json"), "with --export. It takes: --dtype, --words, --corpus."),
        (("--export", "--dtype", "int8"), "[G100] --dtype = 'int8'"),
        (("--from", "bilm"), "[G219]"),
        (("--from", "bilm", "--options", str(BILM / "options.json")), "[G209]"),
        (("--export",), "[G200]"),
        (("--to", "bilm"), "[G200]"),
    ],
)
def test_convert_exits_with_one_line_for_a_bad_option(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code, output = run(str(FIXTURE), str(tmp_path / "out"), *options)
    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


def test_bilm_goes_in_and_out(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    shutil.copyfile(BILM / "options.json", tmp_path / "elsewhere.json")
    options = ("--from", "bilm", "--options", str(tmp_path / "elsewhere.json"), "--lang", "de")
    code, output = run(str(BILM / "weights.hdf5"), str(tmp_path / "ours"), *options)
    assert code == 0, output
    assert "105,120 weights, reads characters, 2 layers of 64 cells and 16 outputs, both directions" in output
    assert read_checkpoint(tmp_path / "ours").indexer["lang"] == "de"
    code, output = run(str(tmp_path / "ours"), str(tmp_path / "theirs"), "--to", "bilm")
    assert code == 0, output
    assert sorted(path.name for path in (tmp_path / "theirs").iterdir()) == ["options.json", "weights.hdf5"]


def test_vocabulary_that_a_bilm_does_not_need_is_said_to_be_left_out(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "words.txt").write_text("any\n", encoding="utf8")
    options = ("--from", "bilm", "--vocab", str(tmp_path / "words.txt"))
    code, output = run(str(BILM / "weights.hdf5"), str(tmp_path / "ours"), *options)
    assert code == 0, output
    assert "words.txt. The model reads characters and needs no list of words." in output


def test_export_says_what_it_left_out(tmp_path: Path) -> None:
    words = ["<S>", "</S>", "<UNK>"]
    sizes = {"char_width": 2, "filters": ((1, 2),), "n_highway": 0, "projection_width": 3, "cell_width": 4}
    model = BiLM(ElmoConfig(**sizes, softmax="full", vocab_size=3))  # type: ignore[arg-type]
    save_checkpoint(tmp_path / "whole", model, indexer=CharIndexer().config, vocab=words, meta={})
    code, output = run(str(tmp_path / "whole"), str(tmp_path / "small"), "--export", "--dtype", "float16")
    assert code == 0, output
    assert "Left out, as only training needs it: softmax.bias, softmax.weight" in output
    assert not (tmp_path / "small" / "vocab.txt").exists()


def test_an_exported_reader_keeps_the_words_most_frequent_in_a_corpus(reader_checkpoint: str, tmp_path: Path) -> None:
    context = "The cat sees. The cat sees the dog. Cat!"
    answer = {"text": "dog", "answer_start": context.index("dog")}
    question = {"id": "1", "question": "Who sees the cat?", "answers": [answer]}
    content = {"version": "1.1", "data": [{"title": "", "paragraphs": [{"context": context, "qas": [question]}]}]}
    (tmp_path / "squad.json").write_text(json.dumps(content), encoding="utf8")
    prepare_squad([tmp_path / "squad.json"], tmp_path / "corpus", dev=[])
    for options, expected in (
        (("--words", "2"), ["the", "dog", "<unk>"]),
        (("--words", "3", "--corpus", str(tmp_path / "corpus")), ["the", "cat", "sees", "<unk>"]),
        (("--words", "100"), ["the", "dog", "cat", "sees", "Who", "?", ".", "<unk>"]),
    ):
        code, output = run(reader_checkpoint, str(tmp_path / "small"), "--export", *options)
        assert code == 0, output
        assert read_checkpoint(tmp_path / "small").vocab == expected


def test_words_are_kept_of_readers_alone_and_at_least_one(reader_checkpoint: str, tmp_path: Path) -> None:
    for checkpoint, number, message in (
        ("glomo_en_sm", "5", "[G359] "),
        (reader_checkpoint, "0", "[G101] --words must be a whole number above 0"),
    ):
        weights = str(find_weights(checkpoint))
        code, output = run(weights, str(tmp_path / "small"), "--export", "--words", number)
        assert (code, message in " ".join(output.split())) == (1, True), output


@pytest.fixture
def mogrifier_state(tmp_path: Path) -> Path:
    """A state dict of the public Mogrifier LSTM: three words, width two, one pair of gates."""
    shapes = {f"rnn.{name}_l0": (8, 2) if name.startswith("weight") else (8,) for name in LSTM_PARTS}
    shapes |= {"encoder.weight": (3, 2), "decoder.weight": (3, 2), "decoder.bias": (3,)}
    shapes |= {f"mogrify.layers.0.{gate}.{part}": size for gate in ("Qw", "Rw") for part, size in GATE_PARTS}
    torch.save({name: torch.ones(shape) for name, shape in shapes.items()}, tmp_path / "public.pt")
    return tmp_path / "public.pt"


def test_mogrifier_lstm_becomes_a_checkpoint(mogrifier_state: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("</s>\nthe\ncat\n", encoding="utf8")
    options = ("--from", "mogrifier-lstm", "--vocab", str(tmp_path / "words.txt"), "--lang", "de")
    code, output = run(str(mogrifier_state), str(tmp_path / "ours"), *options)
    assert code == 0, output
    assert "67 weights, vocabulary 5, 1 layer of width 2, 2 gating rounds" in output
    assert "The vocabulary has no <unk>: unknown words have probability 0." in output
    checkpoint = read_checkpoint(tmp_path / "ours")
    assert checkpoint.vocab == ["<S>", "</S>", "<UNK>", "the", "cat"]
    assert checkpoint.indexer["lang"] == "de"


def test_mogrifier_lstm_without_a_vocabulary_takes_ids(mogrifier_state: Path, tmp_path: Path) -> None:
    code, output = run(str(mogrifier_state), str(tmp_path / "ours"), "--from", "mogrifier-lstm")
    assert code == 0, output
    assert "No vocabulary was given (--vocab): the checkpoint takes word ids" in output
