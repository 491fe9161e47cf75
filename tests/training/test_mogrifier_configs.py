"""The configs of word language models: complete, known to the code, and of the published sizes."""

from pathlib import Path

import pytest
import torch

from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig
from glomo_spacy.training.averaging import AVERAGES
from glomo_spacy.training.config import Pretraining, System, build_choice, build_section, load_config
from glomo_spacy.training.loop import SECTIONS
from glomo_spacy.training.mogrifier import MogrifierEvaluation, MogrifierSettings, TextSettings
from glomo_spacy.training.optimizers import OPTIMIZERS
from glomo_spacy.training.schedules import SCHEDULES

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.glob("**/pretrain_mogrifier*.cfg"))


def n_parameters(config, **changes):
    with torch.device("meta"):
        model = LanguageModel(MogrifierConfig(**{**config["model"], **changes}))
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_stands_in_the_file_and_is_known(name):
    config = load_config(CONFIGS / name)
    assert list(config) == list(SECTIONS)
    settings = build_section(Pretraining, name="pretraining", values=config["pretraining"])
    build_section(System, name="system", values=config["system"])
    build_section(MogrifierConfig, name="model", values={**config["model"], "vocab_size": 50_000})
    build_section(TextSettings, name="corpora", values=config["corpora"])
    build_section(MogrifierSettings, name="objective", values=settings.objective, extra=("name",))
    build_section(MogrifierEvaluation, name="evaluation", values=settings.evaluation)
    build_choice(OPTIMIZERS, name="optimizer", values=settings.optimizer)
    build_choice(SCHEDULES, name="schedule", values=settings.schedule)
    if settings.average is not None:
        build_choice(AVERAGES, name="average", values=settings.average)
    missing = set(MogrifierConfig.__dataclass_fields__) - set(config["model"])
    assert missing <= {"vocab_size", "window"}  # the corpus decides the first; the second is for Transformers alone


def test_each_recipe_has_a_config():
    recipes = ("", "_awd", "_paper", "_paper_wikitext2", "_sgd", "_sm", "_sm_ptb", "_sm_wikitext2")
    assert {f"pretrain_mogrifier{name}.cfg" for name in recipes} | {"tiny/pretrain_mogrifier.cfg"} == set(NAMES)


@pytest.mark.parametrize(
    "name, vocab_size, lstm, millions",
    [
        ("paper", 10_001, {"embedding_width": 951, "hidden_width": 951}, 24),
        ("paper_wikitext2", 33_280, {"embedding_width": 427, "hidden_width": 1212}, 35),
        ("sm_ptb", 10_001, {"embedding_width": 376, "hidden_width": 376}, 4.9),
        ("sm_wikitext2", 33_280, {"hidden_width": 325}, 6.65),
    ],
)
def test_mogrifier_and_lstm_have_as_many_parameters_as_the_file_says(name, vocab_size, lstm, millions):
    path = CONFIGS / f"pretrain_mogrifier_{name}.cfg"
    text = path.read_text(encoding="utf8")
    for width in set(lstm.values()):
        assert str(width) in text.partition("[paths]")[0]
    config = load_config(path)
    for changes in ({}, {**lstm, "cell": "lstm"}):
        assert n_parameters(config, vocab_size=vocab_size, **changes) == pytest.approx(millions * 1e6, rel=2e-3)


def test_published_settings_are_those_of_the_tuned_models():
    config = load_config(CONFIGS / "pretrain_mogrifier_paper.cfg")
    pretraining = config["pretraining"]
    assert (config["corpora"]["batch_size"], config["corpora"]["unroll"]) == (64, 70)
    assert (pretraining["max_steps"], pretraining["evaluate_every"], pretraining["clip"]) == (200_000, 200, 10.0)
    assert pretraining["objective"]["gradient_scale"] == config["corpora"]["unroll"]
    assert pretraining["optimizer"] == {
        "name": "adam", "learn_rate": 2.3e-3, "weight_decay": 2.52e-4, "multipliers": {},
        "beta1": 0.0, "beta2": 0.999, "eps": 1e-8,
    }  # fmt: skip
    assert pretraining["average"] == {"name": "stagnation", "patience": 50, "at_latest": 800}
    dropouts = [config["model"][f"{name}_dropout"] for name in ("input", "layer", "state", "output")]
    assert (dropouts, config["model"]["reset_probability"]) == ([0.729, 0.291, 0.387, 0.716], 0.01)
