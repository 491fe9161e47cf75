"""The configs of readers: complete, known to the code, and as published."""

from pathlib import Path

import pytest

from glomo_spacy.training.config import load_config
from glomo_spacy.training.objectives import build_objective
from glomo_spacy.training.optimizers import OPTIMIZERS
from glomo_spacy.training.schedules import SCHEDULES

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = ("squad_reader_sm.cfg", "squad_reader_paper.cfg", "tiny/squad_reader.cfg")
CHOICES = ("pretraining.optimizer", "pretraining.schedule")


def settings(name):
    """Names of all settings but those of what is chosen by name."""
    config = load_config(CONFIGS / name)
    names = [f"{section}.{key}" for section in config for key in config[section]]
    return sorted(name for name in names if name not in CHOICES)


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_configs_have_the_same_settings(name):
    assert settings(name) == settings(NAMES[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("graph", ["none", "inputs", "states", "uniform"])
def test_a_config_builds_each_variant(name, graph, questions, graph_checkpoint):
    overrides = {"paths.corpus": str(questions), "model.graph": graph, "model.graph_source": graph_checkpoint}
    config = load_config(CONFIGS / name, overrides=overrides)
    objective = build_objective(config, seed=0)
    assert objective.model.config.graph == graph
    chosen = {}
    for section, table in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        values = dict(config["pretraining"][section])
        chosen[section] = table[values.pop("name")](**values)
    assert chosen["optimizer"].build(objective.model).param_groups


def test_the_published_sizes_are_those_of_the_paper(questions, graph_checkpoint):
    overrides = {"paths.corpus": str(questions), "model.graph": "states", "model.graph_source": graph_checkpoint}
    model = build_objective(load_config(CONFIGS / NAMES[1], overrides=overrides), seed=0).model
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert shapes["characters.convolution.weight"] == (100, 5 * 8)
    assert shapes["encoder.gru.weight_hh_l0"] == (3 * 76, 76)
    assert model.trnn.transfer.config.output_width == 2 * 152
    assert {weight for name, weight in shapes.items() if "fusion" in name and len(weight) == 2} == {(152, 152 * 5)}
    assert shapes["join_question.weight"] == (76, 4 * 304)
