"""Sizes of a biLM: the released ones by name, what a config file holds, and what it must not hold."""

import pytest
import torch
from torch import nn

from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.registry import config_section, kind_of, new_model


@pytest.mark.parametrize(
    "name, n_parameters", [("small", 13_593_296), ("medium", 28_027_728), ("original", 93_600_848)]
)
def test_released_sizes_have_the_published_parameter_counts(name, n_parameters):
    with torch.device("meta"):
        model = BiLM(ElmoConfig.sized(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters


def test_a_size_by_name_can_be_changed():
    config = ElmoConfig.sized("small", n_layers=3, activation="tanh")
    assert (config.cell_width, config.n_layers, config.activation) == (1024, 3, "tanh")
    with pytest.raises(ValueError, match="G100.*'large'.*small, medium, original"):
        ElmoConfig.sized("large")


def test_widths_follow_from_the_config():
    assert ElmoConfig().n_filters == 2048
    assert ElmoConfig().width == 1024
    assert ElmoConfig(directions="forward").width == 512


def test_a_config_section_builds_the_same_model():
    config = ElmoConfig(
        filters=((1, 4), (3, 8)),
        projection_width=32,
        cell_width=5,
        vocab_size=30,
        softmax="adaptive",
        adaptive_cutoffs=(5, 10),
        cell_clip=None,
    )
    model = BiLM(config)
    section = config_section(model)
    assert section["filters"] == [[1, 4], [3, 8]]
    assert section["adaptive_cutoffs"] == [5, 10]
    assert kind_of(model) == "elmo"
    again = new_model("elmo", section)
    assert again.config == config
    assert {name: each.shape for name, each in again.state_dict().items()} == {
        name: each.shape for name, each in model.state_dict().items()
    }


def test_the_softmax_is_built_only_where_it_is_asked_for():
    sizes = {"filters": ((1, 4),), "projection_width": 6, "cell_width": 5, "vocab_size": 30}
    assert BiLM(ElmoConfig(**sizes)).softmax is None
    assert isinstance(BiLM(ElmoConfig(**sizes, softmax="full")).softmax, nn.Module)
    assert isinstance(BiLM(ElmoConfig(**sizes, softmax="adaptive", adaptive_cutoffs=(9,))).softmax, nn.Module)


def test_equal_widths_need_no_projection_as_in_the_published_code():
    model = BiLM(ElmoConfig(filters=((1, 4), (2, 2)), projection_width=6, cell_width=5))
    assert not [name for name, _ in model.named_parameters() if "token_encoder.projection" in name]
    assert model.token_vectors(torch.tensor([[259, 98, 260]])).shape == (1, 6)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"token_encoder": "bytes"}, "G100.*token_encoder = 'bytes'.*characters, words"),
        ({"activation": "gelu"}, "G100.*activation = 'gelu'.*relu, tanh"),
        ({"directions": "backward"}, "G100.*directions.*both, forward"),
        ({"softmax": "sampled"}, "G100.*softmax.*none, full, adaptive"),
        ({"n_layers": 0}, "G101.*n_layers must be a whole number above 0, but is 0"),
        ({"cell_width": 4.5}, "G101.*cell_width.*4.5"),
        ({"n_highway": -1}, "G101.*n_highway must be a whole number, 0 or more"),
        ({"cell_clip": 0}, "G101.*cell_clip must be a number above 0, or null for none, but is 0"),
        ({"proj_clip": float("nan")}, "G101.*proj_clip.*nan"),
        ({"forget_bias": "one"}, "G101.*forget_bias must be a number"),
        ({"dropout": 1.0}, "G101.*dropout must be at least 0 and below 1"),
        ({"filters": []}, "G101.*filters must be pairs of width"),
        ({"filters": [1, 2]}, "G101.*filters.*pairs"),
        ({"filters": [[51, 4]]}, r"G101.*at most 50 characters.*\[\[51, 4\]\]"),
        ({"filters": [[2, 0]]}, "G101.*filters"),
        ({"softmax": "full"}, "G101.*vocab_size must be the number of words, but is None"),
        ({"token_encoder": "words"}, "G101.*vocab_size must be the number of words"),
        ({"vocab_size": -3}, "G101.*vocab_size.*-3"),
        ({"softmax": "adaptive", "vocab_size": 9}, "G101.*adaptive_cutoffs must be rising ranks below vocab_size"),
        ({"softmax": "adaptive", "vocab_size": 9, "adaptive_cutoffs": [4, 9]}, r"G101.*adaptive_cutoffs.*\(4, 9\)"),
        ({"softmax": "adaptive", "vocab_size": 9, "adaptive_cutoffs": [4, 2]}, "G101.*adaptive_cutoffs"),
        ({"layers": 2}, r"G100.*\[model\] = 'layers'.*n_layers"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        ElmoConfig.from_dict(values)
