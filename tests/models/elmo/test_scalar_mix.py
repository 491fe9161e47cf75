"""Mixtures of layers: softmax weights, gamma, layer normalisation, penalty, layers that are off."""

import numpy as np
import pytest
import torch
from reference.elmo import scalar_mix
from reference.elmo_state import SENTENCES, tiny_bilm

from glomo_spacy.models.elmo import ScalarMix

LAYERS = np.random.default_rng(0).normal(2.0, 3.0, (3, 7, 4)).astype(np.float32)


def test_it_begins_as_the_plain_mean():
    (mixed,) = ScalarMix(3)(torch.from_numpy(LAYERS))
    np.testing.assert_allclose(mixed.detach().numpy(), LAYERS.mean(0), atol=1e-6)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_several_mixtures_of_one_run_are_independent(layer_norm):
    mix = ScalarMix(3, n_mixes=2, layer_norm=layer_norm)
    with torch.no_grad():
        mix.weights[:] = torch.tensor([[0.1, -1.0, 2.0], [3.0, 0.0, 0.5]])
        mix.gamma[:] = torch.tensor([0.7, -2.0])
        mixed = mix(torch.from_numpy(LAYERS))
    for number, (weights, gamma) in enumerate(zip(mix.weights.tolist(), mix.gamma.tolist())):
        expected = scalar_mix(LAYERS, weights, gamma, layer_norm=layer_norm)
        np.testing.assert_allclose(mixed[number].numpy(), expected, atol=1e-5)


def test_layer_normalisation_does_not_see_padding():
    mix, padded = ScalarMix(3, layer_norm=True), np.full((3, 2, 6, 4), 1000.0, dtype=np.float32)
    mask = torch.tensor([[True] * 5 + [False], [True] * 2 + [False] * 4])
    padded[:, 0, :5], padded[:, 1, :2] = LAYERS[:, :5], LAYERS[:, 5:]
    with torch.no_grad():
        (found,) = mix(torch.from_numpy(padded), mask=mask)
        (expected,) = mix(torch.from_numpy(LAYERS))
    np.testing.assert_allclose(found[mask].numpy(), expected.numpy(), atol=1e-6)
    assert not found[~mask].any()


def test_layers_that_are_off_have_no_part_and_get_no_gradient():
    mix, layers = ScalarMix(3, active=[0, 2]), torch.from_numpy(LAYERS).requires_grad_()
    (mixed,) = mix(layers)
    np.testing.assert_allclose(mixed.detach().numpy(), LAYERS[[0, 2]].mean(0), atol=1e-6)
    mixed.square().sum().backward()
    assert layers.grad is not None
    assert not layers.grad[1].any()
    assert mix.weights.grad is not None
    assert mix.weights.grad[0, 1] == 0
    assert mix.weights.grad[0, 0] != 0


def test_the_penalty_is_the_squared_length_of_the_weights():
    mix = ScalarMix(3, n_mixes=2, l2=0.5, active=[0, 1])
    assert mix.penalty() == 0
    with torch.no_grad():
        mix.weights[:] = torch.tensor([[1.0, 2.0, 9.0], [0.0, -1.0, 9.0]])
    assert mix.penalty().item() == pytest.approx(0.5 * (1 + 4 + 1))


def test_weights_that_are_not_learned_stay():
    assert not any(parameter.requires_grad for parameter in ScalarMix(3, trainable=False).parameters())
    assert all(parameter.requires_grad for parameter in ScalarMix(3).parameters())


def test_a_batch_without_tokens_is_ordinary_input():
    (mixed,) = ScalarMix(3, layer_norm=True)(torch.zeros(3, 0, 4))
    assert mixed.shape == (0, 4)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"n_layers": 0}, "G101.*n_layers.*above 0"),
        ({"n_layers": 3, "n_mixes": 0}, "G101.*n_mixes.*above 0"),
        ({"n_layers": 3, "l2": -1.0}, "G101.*l2 must be 0 or above"),
        ({"n_layers": 3, "active": []}, r"G106.*active = \[\].*layers 0 to 2"),
        ({"n_layers": 3, "active": [0, 3]}, r"G106.*active = \[0, 3\].*layers 0 to 2"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ScalarMix(**settings)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_a_model_mixes_its_layers_by_the_equation(layer_norm):
    model = tiny_bilm()
    layers, weights = model.layers(SENTENCES), [0.5, -1.0, 2.0]
    one = model.mix(layers[0], weights, 1.5, layer_norm=layer_norm)
    np.testing.assert_allclose(one, scalar_mix(layers[0], weights, 1.5, layer_norm=layer_norm), atol=1e-5)
    every = model.mix(layers, weights, 1.5, layer_norm=layer_norm)  # normalised over all sentences together
    expected = scalar_mix(np.concatenate(layers, axis=1), weights, 1.5, layer_norm=layer_norm)
    np.testing.assert_allclose(np.concatenate(every), expected, atol=1e-5)
    assert [len(mixed) for mixed in every] == [len(sentence) for sentence in SENTENCES]
