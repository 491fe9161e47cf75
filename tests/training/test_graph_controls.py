"""The benchmark that asks whether graphs learned something compares models that differ in their graphs alone."""

import importlib.util
from pathlib import Path

import pytest
from confection import Config

from glomo_spacy.training.config import load_config

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


def test_a_control_has_windows_in_place_of_learned_heads_and_no_settings_of_what_it_lacks(controls, config_path):
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


def test_equal_time_is_what_the_controls_took(controls):
    seconds = {"learned": (40.0, 50.0, 400.0), "uniform": (30.0, 41.0, 39.0), "zero": (44.0, 40.0, 300.0)}
    results = [
        {"variant": variant, "tokens": 1000, "seconds": each} for variant, runs in seconds.items() for each in runs
    ]
    assert controls.tokens_in_equal_time(results) == 810  # 40.5 seconds, at the median of 20 tokens a second
