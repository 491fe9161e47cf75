import json
import shutil
from pathlib import Path
from typing import Any, Callable

import numpy
import pytest
import torch
from safetensors.torch import load_file, save_file
from squad_files import TINY
from typer.testing import CliRunner

from glomo_spacy.cli import app
from glomo_spacy.cli.info import Report, info
from glomo_spacy.corpora import prepare_squad
from glomo_spacy.corpora.raw_text import CorpusSettings, prepare_corpus
from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

BILM = Path(__file__).parents[1] / "fixtures" / "elmo" / "allennlp"


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


def open_hdf5(path: Path) -> Any:
    """An HDF5 file to write or damage."""
    return pytest.importorskip("h5py").File(path, "a")


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


def test_a_corpus_of_questions_is_named_and_checked(tmp_path: Path) -> None:
    prepare_squad([TINY], tmp_path / "corpus")
    report = info(tmp_path / "corpus")
    assert report.sections["Splits"] == [("train", "contexts 6, questions 20, tokens 418")]
    assert not report.problems
    (tmp_path / "corpus" / "train.ends.npy").unlink()
    assert [problem[:6] for problem in info(tmp_path / "corpus").problems] == ["[G902]", "[G042]"]


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


@pytest.fixture
def bilm(tmp_path: Path) -> Path:
    """A folder with weights and options of a biLM, to damage."""
    pytest.importorskip("h5py")
    return Path(shutil.copytree(BILM, tmp_path / "bilm"))


@pytest.mark.parametrize("name", ["weights.hdf5", "."])
def test_weights_of_a_bilm_are_named_with_sizes(bilm: Path, name: str) -> None:
    code, output = run(bilm / name)
    assert code == 0, output
    assert output.startswith(f"Weights of a biLM (bilm-tf): {bilm / 'weights.hdf5'}")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in output.splitlines() if line.startswith("  ")}
    assert (rows["lstm.dim"], rows["parameters"], rows["vectors"]) == ("64", "105,120", "32 in each of 3 layers")
    assert rows["char_embed"] == "261 × 4, float32"
    assert rows["file"].endswith("options.json")


def test_weights_of_a_bilm_are_checked_also_without_options(bilm: Path) -> None:
    (bilm / "options.json").unlink()
    report = info(bilm / "weights.hdf5")
    assert report.problems == []
    assert report.sections["Options"] == [("file", "no options.json beside it")]
    with open_hdf5(bilm / "weights.hdf5") as file:
        del file["RNN_1/RNN/MultiRNNCell/Cell1"]
    assert codes(info(bilm / "weights.hdf5")) == ["G213"]


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda file: file.pop("RNN_0"), "G213"),
        (lambda file: file["char_embed"].__setitem__(5, float("nan")), "G216"),
        (lambda file: file.pop("CNN_high_1"), "G214"),
    ],
)
def test_what_is_wrong_with_a_bilm_is_listed(bilm: Path, change: Callable[[Any], Any], code: str) -> None:
    with open_hdf5(bilm / "weights.hdf5") as file:
        change(file)
    report = info(bilm / "weights.hdf5")
    assert codes(report) == [code]
    assert report.title == "Weights of a biLM (bilm-tf)"
    assert run(bilm / "weights.hdf5")[0] == 1


def test_weights_of_a_bilm_of_words_are_checked_without_options(tmp_path: Path) -> None:
    words = ["<S>", "</S>", "<UNK>", "cat"]
    model = BiLM(ElmoConfig(token_encoder="words", vocab_size=4, projection_width=3, cell_width=4))
    save_checkpoint(tmp_path / "ours", model, indexer=VocabularyIndexer(words).config, vocab=words, meta={})
    pytest.importorskip("h5py")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "ours"), str(tmp_path / "theirs"), "--to", "bilm"])
    assert result.exit_code == 0, result.output
    (tmp_path / "theirs" / "options.json").unlink()
    report = info(tmp_path / "theirs")
    assert report.problems == []
    assert ("reads", "words") in report.sections["Sizes"]


def test_truncated_hdf5_is_named(bilm: Path) -> None:
    weights = bilm / "weights.hdf5"
    weights.write_bytes(weights.read_bytes()[:-9])
    assert codes(info(weights)) == ["G209"]


def test_other_hdf5_is_listed_and_said_to_be_no_bilm(tmp_path: Path) -> None:
    with open_hdf5(tmp_path / "other.h5") as file:
        file["cats\x1b[31m"] = [1.0]
    code, output = run(tmp_path / "other.h5")
    assert code == 1
    assert "\x1b" not in output
    assert "[G213]" in output


@pytest.mark.parametrize("is_ragged", [False, True])
def test_vectors_of_sentences_are_named_with_their_sizes(tmp_path: Path, is_ragged: bool) -> None:
    with open_hdf5(tmp_path / "vectors.hdf5") as file:
        for number, n_tokens in enumerate((4, 0, 2)):
            file[str(number)] = numpy.zeros((3, n_tokens, 8 + (is_ragged and number == 2)), "float32")
    report = info(tmp_path / "vectors.hdf5")
    assert report.title == "Vectors of sentences (bilm-tf's layout)"
    assert ("sentences", "3") in report.sections["Vectors"]
    assert ("tokens", "6") in report.sections["Vectors"]
    assert ("each", "3 × tokens × 8, float32") in report.sections["Vectors"]
    assert codes(report) == ["G236"] * is_ragged


def test_vectors_of_words_are_named(tmp_path: Path) -> None:
    with open_hdf5(tmp_path / "words.hdf5") as file:
        file["embedding"] = numpy.zeros((7, 4), "float32")
    report = info(tmp_path / "words.hdf5")
    assert (report.title, report.problems) == ("Vectors of words (bilm-tf)", [])
    assert report.sections["Arrays"] == [("embedding", "7 × 4, float32")]


def test_options_are_named_with_the_size_they_describe(tmp_path: Path) -> None:
    options = json.loads((BILM / "options.json").read_text(encoding="utf8"))
    options["lstm"].update(dim=1024, projection_dim=128)
    filters = [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256], [6, 512], [7, 1024]]
    options["char_cnn"].update(n_highway=1, filters=filters, embedding={"dim": 16})
    (tmp_path / "options.json").write_text(json.dumps(options), encoding="utf8")
    report = info(tmp_path / "options.json")
    assert (report.title, report.problems) == ("Options of a biLM", [])
    assert ("parameters", "13,593,296 (the released size 'small')") in report.sections["Sizes"]


@pytest.mark.parametrize("text, code", [("[]", "G217"), ('{"lstm": {}}', "G217"), ("{", "G217")])
def test_what_is_wrong_with_options_is_listed(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "options.json").write_text(text, encoding="utf8")
    assert codes(info(tmp_path / "options.json")) == [code]


def test_options_of_impossible_size_cost_nothing(tmp_path: Path) -> None:
    options = json.loads((BILM / "options.json").read_text(encoding="utf8"))
    options["lstm"].update(dim=10**15, n_layers=10**12)
    (tmp_path / "options.json").write_text(json.dumps(options), encoding="utf8")
    assert info(tmp_path / "options.json").title == "Options of a biLM"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"\[G040\] .*nor a biLM's file \(\.hdf5, options\.json\)"):
        info(tmp_path / "notes.txt")


def test_a_checkpoint_that_reads_characters_says_so(tmp_path: Path) -> None:
    model = BiLM(ElmoConfig(char_width=2, filters=((1, 2),), projection_width=3, cell_width=4))
    save_checkpoint(tmp_path / "elmo", model, indexer=CharIndexer().config, vocab=None, meta={})
    report = info(tmp_path / "elmo")
    assert (report.title, report.problems) == ("Checkpoint of kind elmo", [])
    assert ("vocabulary", "none: reads any word by its characters") in report.sections["Words"]


def test_corpus_of_sentences_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("The cat sat.\nIt slept.\n\nShe won two prizes.\n")
    arguments = [str(tmp_path / "text.txt"), str(tmp_path / "corpus"), "--format", "sentences", "--dev-documents", "1"]
    prepared = CliRunner().invoke(app, ["prepare", *arguments])
    assert prepared.exit_code == 0, prepared.output
    report = info(tmp_path / "corpus")
    assert report.problems == []
    assert "sentences" in dict(report.sections["Splits"])["train"]


@pytest.mark.parametrize(
    "settings, computes, predicts, parts",
    [
        (
            {"rounds": 4, "rank": 2, "spelling_width": 4},
            "1 × mogrifier of width 4, 4 gating rounds of rank 2",
            "full soft-max with one table for words read and predicted; unknown words are spelled",
            ["word vectors", "layers", "output layer", "spelling"],
        ),
        (
            {"cell": "gru", "n_layers": 2, "tied": False},
            "2 × gru of width 4",
            "full soft-max with a table of its own; unknown words are all alike",
            ["word vectors", "layers", "output layer"],
        ),
    ],
)
def test_language_model_is_explained_in_parts(
    tmp_path: Path, settings: dict, computes: str, predicts: str, parts: list
) -> None:
    words = ["<S>", "</S>", "<UNK>", "a"]
    model = LanguageModel(MogrifierConfig(4, embedding_width=4, hidden_width=4, **settings))
    save_checkpoint(tmp_path / "lm", model, indexer=VocabularyIndexer(words).config, vocab=words, meta={})
    report = info(tmp_path / "lm")
    assert not report.problems
    rows = dict(report.sections["Parts"])
    assert (rows.pop("computes"), rows.pop("predicts")) == (computes, predicts)
    assert list(rows) == parts
    counts = [int(text.split()[0].replace(",", "")) for text in rows.values()]
    assert sum(counts) == sum(parameter.numel() for parameter in model.parameters())
    assert rows["word vectors"] == "16 numbers"


def test_damaged_settings_of_a_language_model_are_a_problem_not_a_crash(tmp_path: Path) -> None:
    words = ["<S>", "</S>", "<UNK>"]
    model = LanguageModel(MogrifierConfig(3, embedding_width=4, hidden_width=4))
    save_checkpoint(tmp_path / "lm", model, indexer=VocabularyIndexer(words).config, vocab=words, meta={})
    config = tmp_path / "lm" / "config.cfg"
    lines = [line for line in config.read_text().splitlines() if not line.startswith(("cell =", "rank =", "rounds ="))]
    config.write_text("\n".join(lines).replace("hidden_width = 4", "hidden_width = 0"))
    assert codes(info(tmp_path / "lm")) == ["G101", "G043"]
