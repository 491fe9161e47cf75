"""Sizes of a language model: the published ones, what a config file holds, and what it must not hold."""

from typing import Any, Dict

import pytest

from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig
from glomo_spacy.models.registry import config_section, kind_of, new_model


def n_parameters(**fields: Any) -> int:
    return sum(parameter.numel() for parameter in LanguageModel(MogrifierConfig(**fields)).parameters())


def test_the_published_sizes_on_ptb_have_24_million_parameters() -> None:
    """lamb derives the width from the budget: two layers and a tied table, five rounds of rank 84, or none."""
    mogrifier = n_parameters(vocab_size=10_000, embedding_width=912, hidden_width=912, n_layers=2, rank=84)
    lstm = n_parameters(vocab_size=10_000, embedding_width=951, hidden_width=951, n_layers=2, cell="lstm")
    assert mogrifier == pytest.approx(24e6, rel=0.005)
    assert lstm == pytest.approx(24e6, rel=0.005)


def test_the_small_default_has_the_parameters_that_its_parts_add_up_to() -> None:
    lstm = 4 * 256 * (256 + 256 + 1)
    gates = 5 * (2 * 16 * 256 + 256)
    assert n_parameters(vocab_size=10_000, rank=16) == 10_000 * 257 + lstm + gates


def test_a_config_section_builds_the_same_model() -> None:
    fields = {"embedding_width": 6, "hidden_width": 8, "n_layers": 2, "proj_width": 5, "cell_clip": 2.0}
    config = MogrifierConfig(30, **fields, tied=False, softmax="adaptive", adaptive_cutoffs=(10,))
    model = LanguageModel(config)
    section = config_section(model)
    assert section["adaptive_cutoffs"] == [10]
    assert kind_of(model) == "mogrifier"
    again = new_model("mogrifier", section)
    assert again.config == config
    assert {name: each.shape for name, each in again.state_dict().items()} == {
        name: each.shape for name, each in model.state_dict().items()
    }


def test_layers_above_the_first_read_outputs() -> None:
    config = MogrifierConfig(30, embedding_width=6, hidden_width=8, n_layers=2, proj_width=5)
    assert [config.cell_settings(layer).input_width for layer in range(2)] == [6, 5]
    assert config.output_width == 5
    assert MogrifierConfig(30, hidden_width=8).output_width == 8


def test_an_lstm_is_a_mogrifier_without_rounds() -> None:
    assert MogrifierConfig(30, cell="lstm").cell_settings(0).rounds == 0
    assert MogrifierConfig(30, cell="mogrifier").cell_settings(0).rounds == 5


@pytest.mark.parametrize(
    "values, message",
    [
        ({"cell": "SARNN"}, "G100.*cell = 'SARNN'.*mogrifier, lstm, gru, rnn-tanh, rnn-relu, transformer"),
        ({"input_gate": "open"}, "G100.*input_gate = 'open'.*capped, tied, free"),
        ({"outputs": "all"}, "G100.*outputs.*sum, top"),
        ({"softmax": "sampled"}, "G100.*softmax.*full, adaptive"),
        ({"positions": "learned"}, "G100.*positions.*sine, none"),
        ({"vocab_size": 2}, "G101.*vocab_size must be the number of words, at least 3, but is 2"),
        ({"n_layers": 0}, "G101.*n_layers must be a whole number above 0, but is 0"),
        ({"hidden_width": 4.5}, "G101.*hidden_width.*4.5"),
        ({"rounds": -1}, "G101.*rounds must be a whole number, 0 or more"),
        ({"rank": 0}, "G101.*rank must be a whole number above 0, or null, but is 0"),
        ({"proj_width": True}, "G101.*proj_width.*True"),
        ({"spelling_width": "wide"}, "G101.*spelling_width.*'wide'"),
        ({"cell_clip": 0}, "G101.*cell_clip must be a number above 0, or null for none, but is 0"),
        ({"forget_bias": float("nan")}, "G101.*forget_bias must be a number, but is nan"),
        ({"tied": "yes"}, "G101.*tied must be true or false, but is 'yes'"),
        ({"input_dropout": 1.0}, "G101.*input_dropout must be at least 0 and below 1"),
        ({"state_dropout": -0.1}, "G101.*state_dropout"),
        ({"reset_probability": "rare"}, "G101.*reset_probability"),
        ({"cell": "gru", "layer_norm": True, "proj_width": 4}, "G183.*layer_norm, proj_width.*cell is 'gru'"),
        ({"cell": "transformer", "hidden_width": 10, "n_heads": 4}, r"G102.*width \(10\).*heads \(4\)"),
        ({"softmax": "adaptive", "adaptive_cutoffs": [9]}, "G182.*tied is True and n_softmaxes is 1.*Set tied = false"),
        ({"softmax": "adaptive", "tied": False, "n_softmaxes": 2}, "G182.*tied is False and n_softmaxes is 2"),
        ({"softmax": "adaptive", "tied": False}, "G101.*adaptive_cutoffs must be rising ids from 3 up"),
        ({"softmax": "adaptive", "tied": False, "adaptive_cutoffs": [9, 30]}, r"G101.*adaptive_cutoffs.*\(9, 30\)"),
        ({"softmax": "adaptive", "tied": False, "adaptive_cutoffs": [2]}, "G101.*adaptive_cutoffs"),
        ({"layers": 2}, r"G100.*\[model\] = 'layers'.*n_layers"),
    ],
)
def test_values_out_of_range_are_refused(values: Dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MogrifierConfig.from_dict({"vocab_size": 30, **values})


def test_the_number_of_words_must_be_known() -> None:
    with pytest.raises(ValueError, match="G101.*vocab_size must be the number of words, but is None"):
        MogrifierConfig.from_dict({"hidden_width": 8})
