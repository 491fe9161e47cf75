"""Checkpoint directories: whole or absent, strict, never unpickled, and clear about what is wrong with one."""

import errno
import json
import re
from pathlib import Path
from typing import Callable, Dict

import pytest
import torch

from glomo_spacy.models import load_checkpoint, read_checkpoint, save_checkpoint
from glomo_spacy.models.checkpoint import build_model, checkpoint_from_bytes, checkpoint_to_bytes, take_apart
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

INDEXER = {"kind": "words", "digits": True, "casing": "lower", "lang": "en"}
VOCAB = [f"word{index}" for index in range(29)] + ["<unk>"]


@pytest.fixture
def model() -> GlomoModel:
    torch.manual_seed(3)
    return GlomoModel(GlomoConfig(30, width=8, n_layers=2, n_heads=2, n_key_layers=1, n_query_layers=1)).eval()


@pytest.fixture
def saved(model: GlomoModel, tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "model", model, indexer=INDEXER, vocab=VOCAB, meta={"seed": 3})
    return tmp_path / "model"


def test_a_loaded_checkpoint_gives_the_graphs_of_the_saved_model(model, saved):
    ids = torch.arange(12).view(2, 6)
    loaded = load_checkpoint(saved)
    assert not loaded.training
    assert torch.equal(loaded.graphs(ids), model.graphs(ids))


def test_half_precision_on_disk_is_float32_in_memory(model, tmp_path):
    save_checkpoint(tmp_path / "half", model, indexer=INDEXER, vocab=VOCAB, meta={}, dtype=torch.float16)
    assert read_checkpoint(tmp_path / "half").state["embedding.weight"].dtype == torch.float16
    loaded = load_checkpoint(tmp_path / "half")
    assert loaded.embedding.weight.dtype == torch.float32
    assert torch.equal(loaded.embedding.weight, model.embedding.weight.half().float())


def test_meta_lists_the_checksum_of_every_other_file(saved):
    from glomo_spacy.files import sha256_of

    meta = json.loads((saved / "meta.json").read_text(encoding="utf8"))
    assert meta["seed"] == 3
    assert meta["sha256"] == {path.name: sha256_of(path) for path in saved.iterdir() if path.name != "meta.json"}


def test_bytes_hold_everything_a_directory_holds(model, saved):
    checkpoint = checkpoint_from_bytes(checkpoint_to_bytes(read_checkpoint(saved)))
    assert (checkpoint.kind, checkpoint.vocab, checkpoint.indexer) == ("glomo", VOCAB, INDEXER)
    assert checkpoint.meta["seed"] == 3
    ids = torch.arange(5)[None]
    assert torch.equal(build_model(checkpoint).graphs(ids), model.graphs(ids))


def test_saving_replaces_an_earlier_checkpoint_but_nothing_else(model, saved, tmp_path):
    save_checkpoint(saved, model, indexer=INDEXER, vocab=VOCAB, meta={"seed": 4})
    assert read_checkpoint(saved).meta["seed"] == 4
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="G207.*not a checkpoint and not empty"):
        save_checkpoint(tmp_path / "thesis", model, indexer=INDEXER, vocab=VOCAB, meta={})
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_a_full_disk_keeps_the_earlier_checkpoint(model, saved, monkeypatch):
    def refuse(*arguments: object, **settings: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="G900"):
        save_checkpoint(saved, model, indexer=INDEXER, vocab=VOCAB, meta={"seed": 5})
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_nothing_is_ever_unpickled(saved, monkeypatch):
    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("torch.load was called")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.loads", refuse)
    assert load_checkpoint(saved).config.vocab_size == 30


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _edit_config(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.cfg"
        text = path.read_text(encoding="utf8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf8")

    return edit


def _cut_vocab(folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(VOCAB[:20]) + "\n", encoding="utf8")


DAMAGES: Dict[str, tuple] = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "G200.*model.safetensors is missing"),
    "truncated weights": (_truncate, "G201.*truncated"),
    "text as weights": (lambda folder: (folder / "model.safetensors").write_text("hello"), "G201"),
    "other sizes": (_edit_config("width = 8", "width = 16"), r"G202.*embedding.weight \(30, 8\), expected \(30, 16\)"),
    "other variant": (_edit_config('"threshold"', '"relu"'), "G202.*Unexpected: .*thresholds.0.bias"),
    "other kind": (_edit_config('kind = "glomo"', 'kind = "poem"'), "G100.*'poem'.*Choose one of: glomo"),
    "later format": (_edit_config("format_version = 1", "format_version = 9"), "G204.*format 9"),
    "other vocabulary": (_cut_vocab, "G205.*20 words.*vocab_size 30"),
    "no config": (lambda folder: (folder / "config.cfg").write_bytes(b"\x00\xff not a config"), "G206.*config.cfg"),
    "broken meta": (lambda folder: (folder / "meta.json").write_text("{"), "G206.*meta.json"),
    "unknown setting": (_edit_config("width = 8", "width = 8\nwdith = 9"), "G100.*wdith"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_refused_with_the_cause(saved, name):
    damage, message = DAMAGES[name]
    damage(saved)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        load_checkpoint(saved)
    assert re.search(message, str(error.value), re.DOTALL)


def test_a_model_and_a_vocabulary_of_different_sizes_are_not_saved(model, tmp_path):
    with pytest.raises(ValueError, match="G205.*2 words"):
        save_checkpoint(tmp_path / "model", model, indexer=INDEXER, vocab=["a", "<unk>"], meta={})
    assert not (tmp_path / "model").exists()


def test_damaged_bytes_are_refused_with_the_cause(model):
    data = checkpoint_to_bytes(take_apart(model, indexer=INDEXER, vocab=VOCAB, meta={}))
    with pytest.raises(ValueError, match="G201"):
        checkpoint_from_bytes(data[:-50])
    from safetensors.torch import save

    with pytest.raises(ValueError, match="G206.*no checkpoint's config.cfg"):
        checkpoint_from_bytes(save({"weight": torch.zeros(2)}))
