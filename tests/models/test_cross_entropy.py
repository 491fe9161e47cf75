"""Cross-entropy over all words, block by block."""

import math

import pytest
import torch
from torch.nn import functional as F

from glomo_spacy.models import cross_entropy
from glomo_spacy.models.cross_entropy import blocked_cross_entropy

TARGETS, WIDTH, VOCAB = 13, 8, 40


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(cross_entropy, "_BLOCK", 4 * VOCAB)


def make(dtype=torch.float32, scale=3.0):
    torch.manual_seed(0)
    states, weight, bias = (
        torch.randn(*shape, dtype=dtype) * scale for shape in ((TARGETS, WIDTH), (VOCAB, WIDTH), (VOCAB,))
    )
    for tensor in (states, weight, bias):
        tensor.requires_grad_()
    return states, weight, bias, torch.randint(VOCAB, (TARGETS,))


def gradients(losses, *tensors):
    weights = torch.linspace(0.5, 2.0, len(losses))
    return torch.autograd.grad((losses * weights).sum(), tensors)


def test_it_equals_the_plain_computation_with_its_gradients():
    states, weight, bias, targets = make()
    found = blocked_cross_entropy(states, weight, bias, targets)
    expected = F.cross_entropy(F.linear(states, weight, bias), targets, reduction="none")
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    for one, other in zip(gradients(found, states, weight, bias), gradients(expected, states, weight, bias)):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)


def test_gradients_are_those_of_the_function():
    states, weight, bias, targets = make(torch.float64, scale=0.5)
    assert torch.autograd.gradcheck(lambda *parts: blocked_cross_entropy(*parts, targets), (states, weight, bias))


def test_under_autocast_it_is_the_same_within_half_precision_and_gradients_stay_float32():
    states, weight, bias, targets = make(scale=0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = blocked_cross_entropy(states, weight, bias, targets)
    expected = F.cross_entropy(F.linear(states, weight, bias), targets, reduction="none")
    assert 1e-6 < float((found - expected).detach().abs().max()) < 0.02
    for one, other in zip(gradients(found, states, weight, bias), gradients(expected, states, weight, bias)):
        assert one.dtype == torch.float32
        assert float((one - other).abs().max()) < 0.02 * float(other.abs().max())


def test_a_word_without_a_chance_takes_no_share_and_gets_no_gradient():
    states, weight, bias, targets = make()
    targets = targets.clamp(min=1)
    masked = bias.index_fill(0, torch.tensor([0]), -math.inf)
    found = blocked_cross_entropy(states, weight, masked, targets)
    expected = F.cross_entropy(F.linear(states, weight, bias)[:, 1:], targets - 1, reduction="none")
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    d_weight, d_bias = gradients(found, weight, bias)
    assert not d_weight[0].any()
    assert d_bias[0] == 0


def test_no_targets_have_no_losses_and_no_gradient():
    states, weight, bias, targets = make()
    found = blocked_cross_entropy(states[:0], weight, bias, targets[:0])
    assert found.shape == (0,)
    assert not torch.autograd.grad(found.sum(), weight)[0].any()
