"""A learning rate per layer and gradual unfreezing: what moves, by how much, and from when on."""

from typing import Any, Callable, Dict, List

import numpy as np
import pytest
import spacy
import torch
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam, Model, Optimizer

from glomo_spacy.architectures.elmo import build_elmo_v1, elmo_network
from glomo_spacy.architectures.fine_tuning import FineTuning
from glomo_spacy.architectures.mogrifier import build_mogrifier_lm_v1, mogrifier_network

VOCAB = spacy.blank("en").vocab
TEXTS = ["the small dog sees", "a red cat hears the dog ."]
# Parameters of ELMo by layer, the top one first.
ELMO_LAYERS = ["forward_lm.layers.1.", "forward_lm.layers.0.", "token_encoder."]
LM_LAYERS = ["body.layers.1.", "body.layers.0.", "embedding."]


@pytest.fixture
def build(elmo_checkpoint: str) -> Callable[..., Model]:
    """Makes a biLM that learns, with the settings given."""
    return lambda **settings: build_elmo_v1(pretrained=elmo_checkpoint, trainable=True, **settings)


@pytest.fixture
def build_lm(mogrifier_checkpoint: str) -> Callable[..., Model]:
    """Makes a language model that learns, with the settings given."""
    return lambda **settings: build_mogrifier_lm_v1(pretrained=mogrifier_checkpoint, trainable=True, **settings)


def weights_of(model: Model) -> Dict[str, torch.Tensor]:
    network = (elmo_network if model.name == "elmo" else mogrifier_network)(model)
    return {name.removeprefix("_network."): tensor.detach().clone() for name, tensor in network.named_parameters()}


def step(model: Model, optimizer: Optimizer) -> Dict[str, torch.Tensor]:
    """How far one update moves each parameter."""
    before = weights_of(model)
    docs = [Doc(VOCAB, words=text.split()) for text in TEXTS]
    rows, backprop = model.begin_update(docs)
    backprop([np.ones_like(row) for row in rows])
    model.finish_update(optimizer)
    return {name: tensor - before[name] for name, tensor in weights_of(model).items()}


def moving_layers(model: Model, layers: List[str], optimizer: Optimizer) -> List[bool]:
    """Which layers an update moves."""
    moves = step(model, optimizer)
    return [any(move.any() for name, move in moves.items() if name.startswith(layer)) for layer in layers]


# --- Rates ------------------------------------------------------------------------------------------------------------


def test_without_settings_every_parameter_has_the_rate_of_the_optimizer(build: Callable[..., Model]) -> None:
    rates = []

    class Recorder(Optimizer):
        def __call__(self, *args: Any, lr_scale: float = 1.0) -> Any:
            rates.append(lr_scale)
            return super().__call__(*args, lr_scale=lr_scale)

    step(build(), Recorder(0.1))
    assert set(rates) == {1.0}
    assert len(rates) > 10


@pytest.mark.parametrize("name", ["elmo", "lm"])
def test_each_layer_steps_at_its_own_rate(name: str, request: pytest.FixtureRequest) -> None:
    make = request.getfixturevalue("build" if name == "elmo" else "build_lm")
    layers = ELMO_LAYERS if name == "elmo" else LM_LAYERS
    plain = step(make(), Adam(0.01, L2=0.0))
    scaled = step(make(learn_rate_scale=0.5, layer_decay=0.2), Adam(0.01, L2=0.0))
    for layer, rate in zip(layers, (0.5, 0.1, 0.02), strict=True):
        moved = [parameter for parameter in plain if parameter.startswith(layer) and plain[parameter].any()]
        assert moved
        for parameter in moved:
            torch.testing.assert_close(scaled[parameter], rate * plain[parameter], rtol=1e-2, atol=1e-6)


def test_both_directions_have_the_same_rates_and_the_mixture_keeps_the_optimizer_s(
    build: Callable[..., Model],
) -> None:
    network = elmo_network(build(learn_rate_scale=0.5, layer_decay=0.1))
    for direction in ("forward_lm", "backward_lm"):
        assert network.rate(f"_network.{direction}.layers.0.bias") == pytest.approx(0.05)
    assert network.rate("mix.weights") == network.rate("mix.gamma") == 1.0


# --- Unfreezing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["elmo", "lm"])
def test_layers_begin_to_learn_from_the_top_each_after_its_number_of_updates(
    name: str, request: pytest.FixtureRequest
) -> None:
    make = request.getfixturevalue("build" if name == "elmo" else "build_lm")
    layers = ELMO_LAYERS if name == "elmo" else LM_LAYERS
    model, optimizer = make(unfreeze=[1, 2, 4]), Adam(0.01, L2=0.01)
    found = [moving_layers(model, layers, optimizer) for _ in range(6)]
    assert found == [
        [False, False, False],
        [True, False, False],
        [True, True, False],
        [True, True, False],
        [True, True, True],
        [True, True, True],
    ]


def test_a_layer_without_a_number_never_learns(build: Callable[..., Model]) -> None:
    model, optimizer = build(unfreeze=[0, 0]), Adam(0.01)
    for _ in range(3):
        assert moving_layers(model, ELMO_LAYERS, optimizer) == [True, True, False]


def test_the_top_layer_learns_the_same_whether_those_below_do_or_not(build: Callable[..., Model]) -> None:
    alone, together = step(build(unfreeze=[0]), Adam(0.01)), step(build(), Adam(0.01))
    for name, move in together.items():
        if "layers.1" in name or "mix" in name:
            torch.testing.assert_close(alone[name], move, rtol=1e-3, atol=1e-7)


def test_a_mixture_learns_before_the_first_layer_does(build: Callable[..., Model]) -> None:
    moves = step(build(unfreeze=[5]), Adam(0.01))
    assert [name for name, move in moves.items() if move.any()] == ["mix.weights", "mix.gamma"]


def test_results_follow_weights_that_began_to_learn_late(build: Callable[..., Model]) -> None:
    """What is kept of frozen layers, such as the vectors of words, must not outlive them."""
    model, optimizer = build(unfreeze=[0, 1, 2]), Adam(0.05)
    docs = [Doc(VOCAB, words=text.split()) for text in TEXTS]
    for _ in range(4):
        model.predict(docs)
        step(model, optimizer)
    fresh = build().from_bytes(model.to_bytes())
    for found, expected in zip(model.predict(docs), fresh.predict(docs), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_loaded_model_counts_updates_anew(build: Callable[..., Model]) -> None:
    model, optimizer = build(unfreeze=[1]), Adam(0.01)
    step(model, optimizer)
    assert moving_layers(model, ELMO_LAYERS, optimizer)[0]
    loaded = build(unfreeze=[1]).from_bytes(model.to_bytes())
    for again in (loaded, model.copy()):
        assert [moving_layers(again, ELMO_LAYERS, Adam(0.01))[0] for _ in range(2)] == [False, True]


def test_a_pipeline_unfreezes_by_its_updates(elmo_checkpoint: str) -> None:
    """One update of a shared tok2vec is one update, however many components listen to it."""
    nlp = spacy.blank("en")
    elmo = {"@architectures": "glomo_spacy.Elmo.v1", "pretrained": elmo_checkpoint, "trainable": True, "unfreeze": [2]}
    nlp.add_pipe("elmo", config={"model": elmo})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8, "upstream": "elmo"}
    for name in ("tagger", "other"):
        nlp.add_pipe("tagger", name, config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}})
    examples = [Example.from_dict(nlp.make_doc(text), {"tags": text.split()}) for text in TEXTS]
    optimizer = nlp.initialize(lambda: examples)
    model, found = nlp.get_pipe("elmo").model, []
    for _ in range(4):
        before = weights_of(model)["forward_lm.layers.1.bias"]
        nlp.update(examples, sgd=optimizer)
        found.append(not torch.equal(weights_of(model)["forward_lm.layers.1.bias"], before))
    assert found == [False, False, True, True]


def test_a_frozen_network_stays_so_whatever_the_settings(elmo_checkpoint: str) -> None:
    model = build_elmo_v1(pretrained=elmo_checkpoint, learn_rate_scale=3.0, unfreeze=[0, 0, 0])
    assert moving_layers(model, ELMO_LAYERS, Adam(0.01)) == [False, False, False]


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"learn_rate_scale": 0.0}, r"G101\] learn_rate_scale must be above 0, but is 0\.0"),
        ({"layer_decay": -1.0}, r"G101\] layer_decay must be above 0, but is -1\.0"),
        ({"unfreeze": [2, 1]}, r"G101\] unfreeze must be whole numbers from 0 that do not fall, but is \[2, 1\]"),
        ({"unfreeze": [-1]}, r"G101\] unfreeze must be whole numbers from 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: Dict[str, Any], message: str, build: Callable[..., Model]) -> None:
    with pytest.raises(ValueError, match=message):
        build(**settings)


def test_more_numbers_than_layers_are_refused(build: Callable[..., Model]) -> None:
    message = r"G115\] unfreeze = \[0, 1, 2, 3\] has 4 numbers, but there are 2 recurrent layers"
    with pytest.raises(ValueError, match=message):
        build(unfreeze=[0, 1, 2, 3]).predict([Doc(VOCAB, words=["dog"])])


def test_a_parameter_below_all_layers_comes_last() -> None:
    tuning = FineTuning(layer_decay=0.5, unfreeze=(0, 3, 7))
    assert [tuning.rate(name, 2) for name in ("x.layers.1.bias", "layers.0.q.0.left", "embedding")] == [1.0, 0.5, 0.25]
    assert [tuning.learns("embedding", 2, n_updates=number) for number in (6, 7)] == [False, True]
