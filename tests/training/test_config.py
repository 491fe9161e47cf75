"""Configs and overrides: every mistake is one line that names what was meant, before any work."""

from pathlib import Path

import pytest

from glomo_spacy.models.glomo import GlomoConfig
from glomo_spacy.training.config import (
    Pretraining,
    System,
    build_choice,
    build_section,
    check_sections,
    load_config,
    parse_overrides,
)
from glomo_spacy.training.loop import SECTIONS, pretrain
from glomo_spacy.training.optimizers import OPTIMIZERS

CONFIGS = Path(__file__).parents[2] / "configs"

SYSTEM = {"seed": 1, "device": "cpu", "precision": "32-true", "threads": None, "compile": False}


def test_overrides_are_read_as_json_where_they_are_json():
    arguments = ["--model.width", "64", "--paths.corpus=a b", "--system.compile", "true", "--system.device", "cpu"]
    expected = {"model.width": 64, "paths.corpus": "a b", "system.compile": True, "system.device": "cpu"}
    assert parse_overrides(arguments) == expected


@pytest.mark.parametrize(
    "arguments", [["--model.width"], ["--model.width", "--system.seed"], ["width", "3"], ["--width=3"]]
)
def test_an_override_of_another_form_is_refused(arguments):
    with pytest.raises(ValueError, match=r"\[G143\].*Write --section.name value"):
        parse_overrides(arguments)


def test_an_override_replaces_what_stands_in_the_file():
    assert load_config(CONFIGS / "tiny/pretrain_glomo.cfg", overrides={"model.width": 8})["model"]["width"] == 8


@pytest.mark.parametrize(
    "name, nearest",
    [
        ("model.widht", "model.width"),
        ("pretraining.optimizer.learning_rate", "pretraining.optimizer.learn_rate"),
        ("pretraining.max_step", "pretraining.max_steps"),
        ("pretraning.max_steps", "pretraining"),
        ("corpora.btpt", "corpora.bptt"),
        ("pretraining.evaluation.seeds", "pretraining.evaluation.seed"),
        ("pretraining.objective.positions", "pretraining.objective.n_positions"),
    ],
)
def test_an_unknown_override_names_the_nearest_setting_before_any_work(name, nearest, tiny, tmp_path):
    with pytest.raises(ValueError, match=rf"\[G140\] {name} is not a setting. Nearest: {nearest}"):
        pretrain(tiny(**{name.replace(".", "__"): 3}))
    assert not (tmp_path / "run").exists()


def test_an_unknown_section_names_the_nearest_one():
    with pytest.raises(ValueError, match=r"\[G140\] pretrain is not a setting. Nearest: pretraining"):
        check_sections({"pretrain": {}}, known=SECTIONS)


def test_a_missing_setting_is_named():
    with pytest.raises(ValueError, match=r"\[G142\] \[system\] lacks: threads"):
        build_section(System, name="system", values={key: SYSTEM[key] for key in SYSTEM if key != "threads"})


def test_a_missing_section_is_named():
    with pytest.raises(ValueError, match=r"\[G142\] \[system\] lacks: the section itself"):
        build_section(System, name="system", values=None)


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("seed", "one", "a whole number"),
        ("seed", True, "a whole number"),
        ("seed", 1.5, "a whole number"),
        ("device", 3, "text"),
        ("threads", "all", "a whole number or null"),
        ("compile", 1, "true or false"),
    ],
)
def test_a_value_of_another_type_is_refused(key, value, expected):
    with pytest.raises(ValueError, match=rf"\[G141\] system.{key} must be {expected}, but is"):
        build_section(System, name="system", values={**SYSTEM, key: value})


def test_whole_numbers_may_be_written_with_an_exponent():
    assert build_section(System, name="system", values={**SYSTEM, "seed": 2e7}).seed == 20_000_000


def test_lists_become_the_tuples_of_a_model_config():
    assert build_section(
        GlomoConfig, name="model", values={"vocab_size": 9, "fixed_windows": [1, 3]}
    ).fixed_windows == (1, 3)


def test_a_choice_that_is_not_in_the_table_lists_the_table():
    with pytest.raises(ValueError, match=r"\[G100\] pretraining.optimizer.name = 'lamb'.*sgd, adam, adamw"):
        build_choice(OPTIMIZERS, name="pretraining.optimizer", values={"name": "lamb"})
    with pytest.raises(ValueError, match=r"\[G142\] \[pretraining.optimizer\] lacks: name"):
        build_choice(OPTIMIZERS, name="pretraining.optimizer", values={})


def test_a_run_without_a_budget_is_refused(tiny):
    with pytest.raises(ValueError, match=r"\[G145\]"):
        pretrain(tiny(pretraining__max_steps=None))


@pytest.mark.parametrize("name, value", [("max_steps", 0), ("clip", -1.0), ("average_decay", 1.0), ("log_every", 0)])
def test_a_setting_out_of_range_is_refused(name, value, tiny):
    values = {**tiny()["pretraining"], name: value}
    with pytest.raises(ValueError, match=rf"\[G141\] pretraining.{name} must be"):
        build_section(Pretraining, name="pretraining", values=values)


@pytest.mark.parametrize("text", ["[model\nwidth = 3", "[model]\nwidth = ${nowhere.width}\n"])
def test_a_file_that_is_no_config_is_one_clear_line(text, tmp_path):
    (tmp_path / "broken.cfg").write_text(text)
    with pytest.raises(ValueError, match=r"\[G144\] .*broken.cfg cannot be read as a config") as caught:
        load_config(tmp_path / "broken.cfg")
    assert "\n" not in str(caught.value)


def test_a_config_that_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(ValueError, match=r"\[G144\]"):
        load_config(tmp_path / "none.cfg")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("**/pretrain_glomo*.cfg")), ids=lambda path: path.stem)
def test_every_shipped_config_passes_all_checks_and_has_the_same_sections(path, corpus, tmp_path):
    config = load_config(path, overrides={"paths.corpus": str(corpus), "paths.output": str(tmp_path)})
    tiny = load_config(CONFIGS / "tiny/pretrain_glomo.cfg")
    assert list(config) == list(tiny) == list(SECTIONS)
    assert list(config["pretraining"]) == list(tiny["pretraining"])
    assert config["model"].keys() == tiny["model"].keys() == GlomoConfig.__dataclass_fields__.keys() - {"vocab_size"}
    build_section(System, name="system", values=config["system"])
    build_choice(OPTIMIZERS, name="optimizer", values=config["pretraining"]["optimizer"])
    assert GlomoConfig.from_dict({**config["model"], "vocab_size": 100})


def test_the_published_config_holds_the_published_numbers():
    config = load_config(CONFIGS / "pretrain_glomo_paper.cfg")
    assert GlomoConfig.from_dict({**config["model"], "vocab_size": 100_001}) == GlomoConfig(100_001)
    assert config["pretraining"]["optimizer"] == {
        "name": "sgd", "learn_rate": 8.0, "momentum": 0.2, "weight_decay": 0.0, "multipliers": {}, "starts": {},
    }  # fmt: skip
    assert config["pretraining"]["schedule"] == {
        "name": "patience", "warmup": 0.0, "patience": 3, "decay": 2.0, "stop_below": 0.01,
    }  # fmt: skip
    assert (config["corpora"]["bptt"], config["corpora"]["shift"], config["corpora"]["batch_size"]) == (200, 100, 32)
    assert config["pretraining"]["objective"]["n_positions"] == 20
    assert (config["pretraining"]["clip"], config["pretraining"]["evaluate_every"]) == (0.25, 4000)
