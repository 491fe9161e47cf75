"""The benchmark that asks whether graphs learned something compares models that differ in their graphs alone."""

import importlib.util
from pathlib import Path

import pytest
from confection import Config

from glomo_spacy.training.config import build_choice, load_config
from glomo_spacy.training.objectives import build_objective
from glomo_spacy.training.optimizers import OPTIMIZERS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def controls():
    spec = importlib.util.spec_from_file_location("graph_controls", ROOT / "benchmarks" / "graph_controls.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config_path(tiny, tmp_path):
    optimizer = {"multipliers": {"*.graph.*": 0.5, "embedding.*": 2.0}, "starts": {"*.graph.*": 0.75}}
    config = tiny(**{f"pretraining__optimizer__{name}": value for name, value in optimizer.items()})
    Config(config).to_disk(tmp_path / "learned.cfg")
    return tmp_path / "learned.cfg"


def test_a_control_has_windows_in_place_of_learned_heads_and_no_settings_of_what_it_lacks(
    controls, config_path, corpus
):
    config = load_config(config_path)
    learned = controls.variant_overrides("learned", config)
    assert learned == {
        "pretraining.optimizer.multipliers": {"*.graph.*": 0.5, "embedding.*": 2.0},
        "pretraining.optimizer.starts": {"*.graph.*": 0.75},
    }
    assert controls.variant_overrides("windows-uniform", config) == {
        "model.fixed_windows": [1, 3, -1, -1],
        "pretraining.optimizer.multipliers": {"embedding.*": 2.0},
        "pretraining.optimizer.starts": {},
    }
    windows = controls.variant_overrides("windows", config)
    assert windows["model.fixed_windows"] == [1, 3, 12, -1, 1, 3, 12, -1]
    assert (windows["model.n_heads"], windows["model.head_channels"]) == (8, [])
    speeds = controls.measure_speeds(config_path, str(corpus), rounds=3)
    assert set(speeds) == set(controls.VARIANTS)
    assert all(speed > 0 for speed in speeds.values())


def test_a_run_is_as_fast_as_its_phases_are_long(controls, tiny):
    config = tiny(pretraining__optimizer__starts={"left.graph.*": 0.25, "right.graph.*": 0.75})
    settings = build_choice(OPTIMIZERS, name="pretraining.optimizer", values=config["pretraining"]["optimizer"])
    optimizer = settings.build(build_objective(config, seed=0).model)
    assert controls._phases(optimizer) == {0.0: 0.25, 0.25: 0.5, 0.75: 0.25}
