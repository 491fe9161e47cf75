"""Checkpoints for use alone: without the softmax, in fewer bits, with the same vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glomo_spacy.convert import export_checkpoint
from glomo_spacy.indexers import CharIndexer, VocabularyIndexer, WordIndexer
from glomo_spacy.models import load_checkpoint, read_checkpoint, save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

WORDS = ["<S>", "</S>", "<UNK>", "the", "cat", "sat"]
SENTENCES = [["the", "cat"], ["sat"]]


def save(folder: Path, **changes: Any) -> None:
    config = ElmoConfig(
        **{
            "char_width": 3,
            "filters": ((1, 2), (3, 4)),
            "n_highway": 1,
            "projection_width": 4,
            "cell_width": 5,
            "vocab_size": len(WORDS),
            "softmax": "full",
            **changes,
        }
    )
    indexer = CharIndexer() if config.token_encoder == "characters" else VocabularyIndexer(WORDS)
    save_checkpoint(folder, BiLM(config), indexer=indexer.config, vocab=WORDS, meta={"seed": 3})


@pytest.mark.parametrize("softmax", [{}, {"softmax": "adaptive", "adaptive_cutoffs": (4,)}])
def test_softmax_and_its_words_are_left_out_and_vectors_stay(softmax: Any, tmp_path: Path) -> None:
    save(tmp_path / "whole", **softmax)
    exported = export_checkpoint(tmp_path / "whole", tmp_path / "small")
    assert exported.left_out
    assert all(name.startswith("softmax.") for name in exported.left_out)
    small = read_checkpoint(tmp_path / "small")
    assert not any(name.startswith("softmax.") for name in small.state)
    assert (small.vocab, small.model["vocab_size"], small.model["softmax"]) == (None, None, "none")
    assert small.meta["seed"] == 3
    assert exported.n_weights == sum(tensor.numel() for tensor in small.state.values())
    assert exported.n_bytes == sum(path.stat().st_size for path in (tmp_path / "small").iterdir())
    layers = [load_checkpoint(tmp_path / name).layers(SENTENCES) for name in ("whole", "small")]
    assert all(np.array_equal(one, other) for one, other in zip(*layers))


def test_words_stay_where_they_are_the_input(tmp_path: Path) -> None:
    save(tmp_path / "whole", token_encoder="words")
    export_checkpoint(tmp_path / "whole", tmp_path / "small")
    assert read_checkpoint(tmp_path / "small").vocab == WORDS
    assert len(load_checkpoint(tmp_path / "small").layers(SENTENCES)) == 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_are_stored_in_the_type_asked_for_and_loaded_as_float32(dtype: str, tmp_path: Path) -> None:
    save(tmp_path / "whole")
    export_checkpoint(tmp_path / "whole", tmp_path / "small", dtype=dtype)
    stored, before = read_checkpoint(tmp_path / "small").state, read_checkpoint(tmp_path / "whole").state
    wanted = getattr(torch, dtype)
    assert {tensor.dtype for tensor in stored.values()} == {wanted}
    loaded = load_checkpoint(tmp_path / "small").state_dict()
    assert all(torch.equal(tensor, before[name].to(wanted).float()) for name, tensor in loaded.items())


def test_exporting_again_changes_nothing_but_keeps_the_type(tmp_path: Path) -> None:
    save(tmp_path / "whole")
    export_checkpoint(tmp_path / "whole", tmp_path / "one", dtype="float16")
    assert export_checkpoint(tmp_path / "one", tmp_path / "two").left_out == []
    one, two = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_model_with_nothing_to_leave_out_can_be_stored_in_fewer_bits(tmp_path: Path) -> None:
    words = ["a", "b", "<unk>"]
    model = GlomoModel(GlomoConfig(3, width=4, n_layers=1, n_heads=2, n_key_layers=1, n_query_layers=1))
    save_checkpoint(tmp_path / "whole", model, indexer=WordIndexer(words).config, vocab=words, meta={})
    assert export_checkpoint(tmp_path / "whole", tmp_path / "half", dtype="float16").left_out == []
    half = read_checkpoint(tmp_path / "half")
    assert half.vocab == words
    assert half.state["embedding.weight"].dtype == torch.float16


def test_weights_too_large_for_the_type_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "whole")
    parts = read_checkpoint(tmp_path / "whole")
    model: Any = load_checkpoint(tmp_path / "whole")
    model.forward_lm.layers[0].bias.data[1] = 70_000.0
    save_checkpoint(tmp_path / "large", model, indexer=parts.indexer, vocab=WORDS, meta={})
    with pytest.raises(ValueError, match=r"\[G235\].*'forward_lm\.layers\.0\.bias' that float16 cannot hold"):
        export_checkpoint(tmp_path / "large", tmp_path / "half", dtype="float16")
    assert not (tmp_path / "half").exists()
    export_checkpoint(tmp_path / "large", tmp_path / "half", dtype="bfloat16")


def test_unknown_type_is_an_error_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"\[G100\] --dtype = 'int8' is not available. Choose one of: float32, float16"
    ):
        export_checkpoint(tmp_path / "whole", tmp_path / "small", dtype="int8")


def test_a_checkpoint_is_not_replaced_by_its_own_export(tmp_path: Path) -> None:
    save(tmp_path / "whole")
    with pytest.raises(ValueError, match=r"\[G237\]"):
        export_checkpoint(tmp_path / "whole", tmp_path / "elsewhere" / ".." / "whole")
    assert "softmax.weight" in read_checkpoint(tmp_path / "whole").state


def test_a_reader_keeps_the_words_asked_for_and_does_not_know_the_others(
    reader_checkpoint: str, tmp_path: Path
) -> None:
    export_checkpoint(reader_checkpoint, tmp_path / "small", words=["sees", "the"])
    whole, small = read_checkpoint(reader_checkpoint), read_checkpoint(tmp_path / "small")
    assert (small.vocab, small.model["n_words"]) == (["sees", "the", "<unk>"], 3)
    rows = whole.state["words.weight"][[whole.vocab.index(word) for word in small.vocab]]
    assert torch.equal(small.state["words.weight"], rows)
    others = [name for name in whole.state if name != "words.weight"]
    assert all(torch.equal(small.state[name], whole.state[name]) for name in others)
    assert load_checkpoint(tmp_path / "small").config.n_words == 3
