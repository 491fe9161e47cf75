"""Starting from a checkpoint: by name and shape, word tables by word."""

import pytest
import torch

from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.checkpoint import read_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.training.initialize import initialize_from
from glomo_spacy.training.loop import pretrain

INDEXER = {"kind": "words", "digits": True, "casing": "lower", "lang": "en"}
SIZES = {"width": 8, "n_layers": 1, "n_heads": 2, "n_key_layers": 1, "n_query_layers": 1, "n_decoder_layers": 1}


def make(seed, vocab, **sizes):
    torch.manual_seed(seed)
    return GlomoModel(GlomoConfig(len(vocab), **{**SIZES, **sizes}))


def save(directory, vocab, **sizes):
    model = make(1, vocab, **sizes)
    save_checkpoint(directory, model, indexer=INDEXER, vocab=vocab, meta={})
    return model


def test_everything_is_copied_between_equal_models(tmp_path):
    vocab = ["a", "b", "<unk>"]
    source, target = save(tmp_path / "c", vocab), make(2, vocab)
    report = initialize_from(target, tmp_path / "c", kind="glomo", vocab=vocab)
    assert all(torch.equal(tensor, target.state_dict()[name]) for name, tensor in source.state_dict().items())
    assert (report.new, report.dropped, report.by_word) == ([], [], {})
    assert set(report.copied) == set(source.state_dict())


def test_rows_follow_their_words_and_new_words_stay_new(tmp_path):
    source = save(tmp_path / "c", ["a", "b", "c", "<unk>"])
    vocab = ["c", "new", "a", "<unk>"]  # the same size: rows must not be copied as they stand
    target, fresh = make(2, vocab), make(2, vocab)
    report = initialize_from(target, tmp_path / "c", kind="glomo", vocab=vocab)
    rows = target.embedding.weight
    assert torch.equal(rows[[0, 2, 3]], source.embedding.weight[[2, 0, 3]])
    assert torch.equal(rows[1], fresh.embedding.weight[1])
    assert report.by_word == {"embedding.weight": 3}
    assert "copied 3 rows of embedding.weight by word" in report.summary()


def test_other_shapes_and_excluded_names_stay_new_and_are_reported(tmp_path):
    vocab = ["a", "b", "<unk>"]
    save(tmp_path / "c", vocab, n_layers=2)
    target, fresh = make(2, vocab, dec_len=2), make(2, vocab, dec_len=2)
    report = initialize_from(target, tmp_path / "c", kind="glomo", vocab=vocab, exclude=["*.decoder.*"])
    decoder = [name for name in target.state_dict() if ".decoder." in name]
    assert set(report.new) == {*decoder, "mix_weights"}  # mix_weights has one row per layer
    assert all(torch.equal(target.state_dict()[name], fresh.state_dict()[name]) for name in decoder)
    assert {name for name in report.dropped if ".keys.1" in name}  # the second layer
    assert "new: " in report.summary()


def test_words_in_common_are_needed(tmp_path):
    save(tmp_path / "c", ["a", "b"])
    with pytest.raises(ValueError, match=r"\[G312\].*share no word"):
        initialize_from(make(2, ["x", "y"]), tmp_path / "c", kind="glomo", vocab=["x", "y"])


def test_something_must_fit(tmp_path):
    save(tmp_path / "c", ["a", "b"])
    with pytest.raises(ValueError, match=r"\[G313\] No weight of"):
        initialize_from(make(2, ["a", "b"]), tmp_path / "c", kind="glomo", vocab=["a", "b"], exclude=["*"])


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    save(tmp_path / "c", ["a", "b"])
    with pytest.raises(ValueError, match=r"\[G203\].*kind 'glomo', but 'elmo' is needed"):
        initialize_from(make(2, ["a", "b"]), tmp_path / "c", kind="elmo", vocab=["a", "b"])


def test_a_run_can_start_from_another_runs_checkpoint(tiny, tmp_path):
    first = pretrain(tiny(pretraining__max_steps=20), output=tmp_path / "first")
    still = {"name": "sgd", "learn_rate": 1e-30, "momentum": 0.0, "weight_decay": 0.0, "multipliers": {}}
    for average in (None, 0.9):
        second = pretrain(
            tiny(pretraining__max_steps=1, pretraining__optimizer=still, pretraining__average_decay=average),
            output=tmp_path / f"second {average}",
            init_from=tmp_path / "first" / "model-last",
        )
        assert second["loss"] == pytest.approx(first["loss"], abs=0.02)  # only batch statistics have moved


def test_a_checkpoint_says_what_it_went_on_from_after_a_resume_too(tiny, tmp_path):
    pretrain(tiny(pretraining__max_steps=2), output=tmp_path / "first")
    first = read_checkpoint(tmp_path / "first" / "model-last").meta
    assert "initialized_from" not in first["training"]
    settings = {"pretraining__evaluate_every": 2}
    second = tmp_path / "second"
    pretrain(tiny(pretraining__max_steps=2, **settings), output=second, init_from=tmp_path / "first" / "model-last")
    pretrain(tiny(pretraining__max_steps=4, **settings), output=second, resume=True)
    meta = read_checkpoint(second / "model-last").meta
    assert meta["training"]["step"] == 4
    assert meta["training"]["initialized_from"] == {
        "sha256": first["sha256"]["model.safetensors"],
        "training": first["training"],
    }
