"""Sizes of a reader: the published ones, what a config file holds, and what it must not hold."""

from pathlib import Path
from typing import Any, Dict

import pytest
import torch

from glomo_spacy.models.checkpoint import load_checkpoint, save_checkpoint
from glomo_spacy.models.qa import ReaderConfig, ReaderModel
from glomo_spacy.models.registry import config_section, kind_of, new_model

WORDS: Dict[str, Any] = {"n_words": 30, "word_width": 300, "characters": "abc"}


@pytest.mark.parametrize(
    "options, encoder_input, encoding",
    [
        ({"graph": "inputs"}, 300 + 300 + 100, 152),  # as published with GloVe
        ({"graph": "inputs", "n_mixes": 4}, 300 + 2 * 300 + 100, 152),
        ({"graph": "states"}, 300 + 100, 304),
        ({"graph": "inputs", "elmo_layers": 2, "elmo_width": 1024}, 2 * (300 + 1024) + 100, 152),
        ({}, 400, 152),
    ],
)
def test_widths_are_the_published_ones(options: Dict[str, Any], encoder_input: int, encoding: int) -> None:
    model = ReaderModel(ReaderConfig(**WORDS, **options))
    assert model.encoder.gru.input_size == encoder_input
    assert model.join_question.in_features == 4 * encoding


def test_published_gates_have_the_published_inputs() -> None:
    inputs, states = (ReaderModel(ReaderConfig(**WORDS, graph=graph)) for graph in ("inputs", "states"))
    assert inputs.transfer is not None
    assert states.trnn is not None
    assert inputs.transfer.fusion.value.weight.shape == (300, 5 * 300)
    assert states.trnn.transfer.fusion.value.weight.shape == (152, 5 * 152)
    assert inputs.transfer.mixture.logits.weight.shape == (2 * 2 * (2 * 3 - 1) * 8, 300)  # 40 candidates each


def test_static_words_learn_only_if_asked() -> None:
    for train_words in (True, False):
        model = ReaderModel(ReaderConfig(n_words=5, word_width=3, train_words=train_words))
        assert model.words is not None
        assert model.words.weight.requires_grad is train_words


def test_a_config_section_builds_the_same_model() -> None:
    model = ReaderModel(ReaderConfig(**WORDS, graph="inputs", graph_source="glomo_en_sm", graph_sha256="ab"))
    again = new_model("reader", config_section(model))
    assert kind_of(model) == "reader"
    assert again.config == model.config
    assert [each.shape for each in again.parameters()] == [each.shape for each in model.parameters()]


ASCII = "".join(map(chr, range(33, 127)))


@pytest.mark.parametrize("alphabet", [ASCII + "\u00e9\u65e5\U0001f600\n\u2028", "$%{}", "%(a)s", "120", "true", " '\""])
def test_a_checkpoint_holds_any_alphabet_and_gives_the_same_weights(tmp_path: Path, alphabet: str) -> None:
    model = ReaderModel(ReaderConfig(n_words=4, word_width=3, characters=alphabet, encoder_width=2, model_width=3))
    save_checkpoint(tmp_path / "reader", model, indexer={}, vocab=None, meta={})
    loaded = load_checkpoint(tmp_path / "reader")
    assert loaded.config.characters == alphabet
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_words": 0}, "G190.*n_words"),
        ({"n_words": -1}, "G101.*n_words.*-1"),
        ({"word_width": 0}, "G101.*word_width.*0"),
        ({"dropout": 1.0}, "G101.*dropout.*1.0"),
        ({"graph": "mixed"}, "G100.*graph = 'mixed'.*none, inputs, states, uniform"),
        ({"attention": "cube"}, "G100.*attention = 'cube'.*softmax, square"),
        ({"output": "span"}, "G100.*output = 'span'.*pointer, recurrent"),
        ({"characters": "aba"}, "G101.*characters.*each character once"),
        ({"characters": "${a}"}, "G101.*characters.*without { directly after"),
        ({"char_kernel": 17}, "G101.*char_kernel.*max_chars"),
        ({"graph": "states", "attention": "square"}, "G191.*square.*states"),
        ({"graph": "inputs", "candidates": "plain"}, "G112.*gate-products"),
        ({"graph": "inputs", "fusion": "sum"}, "G100.*fusion = 'sum'"),
    ],
)
def test_each_setting_that_cannot_be_built_is_named(options: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReaderConfig(**{**WORDS, **options})


def test_an_unknown_field_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ValueError, match="G100.*hidden0.*encoder_width"):
        ReaderConfig.from_dict({**WORDS, "hidden0": 76})
