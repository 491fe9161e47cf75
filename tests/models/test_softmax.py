"""Output layers over words: all agree with the plain formula, in value and gradient."""

import math

import pytest
import torch
from torch.nn import functional as F

from glomo_spacy.models import softmax
from glomo_spacy.models.softmax import (
    AdaptiveSoftmax,
    FullSoftmax,
    Negatives,
    log_expected_counts,
)

WORDS, WIDTH = 30, 6


@pytest.fixture
def states() -> torch.Tensor:
    return torch.randn(12, WIDTH, dtype=torch.float64, requires_grad=True)


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.randint(WORDS, (12,))


def draws(n_draws: float) -> torch.Tensor:
    return torch.tensor(n_draws, dtype=torch.float64)


def plain(layer, states, targets, negatives):
    """Cross-entropy over each target and the negatives that are not it, one target at a time."""
    losses = []
    for state, target in zip(states, targets.tolist()):
        ids = torch.tensor([target, *(word for word in negatives.ids.tolist() if word != target)])
        expected = log_expected_counts(ids, negatives.n_draws, WORDS).double()
        logits = layer.weight[ids] @ state + layer.bias[ids] - expected
        losses.append(torch.logsumexp(logits, 0) - logits[0])
    return torch.stack(losses)


@pytest.mark.parametrize("ids, n_draws", [([0, 1, 5, 9, 20], 11.0), (range(WORDS), math.inf), ([3], 1.0)])
def test_sampled_losses_and_gradients_are_those_of_the_formula(ids, n_draws, states, targets, monkeypatch):
    monkeypatch.setattr(softmax, "_BLOCK", 10)  # several blocks
    layer = FullSoftmax(WORDS, WIDTH).double()
    torch.nn.init.normal_(layer.bias)
    targets = torch.cat([targets[:-1], torch.tensor([3])])  # a target that is the only negative of the last case
    negatives = Negatives(torch.tensor(list(ids)), draws(n_draws))
    upstream = torch.rand(12, dtype=torch.float64)
    parts = [states, layer.weight, layer.bias]
    found, expected = layer.sampled_losses(states, targets, negatives), plain(layer, states, targets, negatives)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    gradients = torch.autograd.grad((found * upstream).sum(), parts)
    for gradient, wanted in zip(gradients, torch.autograd.grad((expected * upstream).sum(), parts)):
        torch.testing.assert_close(gradient, wanted, atol=1e-6, rtol=1e-6)


def test_bfloat16_products_give_nearly_the_same_gradients(states, targets):
    layer = FullSoftmax(WORDS, WIDTH)
    states = states.detach().float().requires_grad_()
    negatives = Negatives(torch.arange(0, WORDS, 2), draws(40.0))
    exact = torch.autograd.grad(layer.sampled_losses(states, targets, negatives).mean(), [states, layer.weight])
    with torch.autocast("cpu", torch.bfloat16):
        losses = layer.sampled_losses(states, targets, negatives)
    assert losses.dtype == torch.float32
    for found, wanted in zip(torch.autograd.grad(losses.mean(), [states, layer.weight]), exact):
        torch.testing.assert_close(found, wanted, atol=0.02 * float(wanted.abs().max()), rtol=0)


def test_without_gradients_the_full_softmax_works_in_parts_of_equal_result(states, targets, monkeypatch):
    layer = FullSoftmax(WORDS, WIDTH)
    values = states.detach().float()
    expected = F.cross_entropy(values @ layer.weight.t() + layer.bias, targets, reduction="none").detach()
    monkeypatch.setattr(softmax, "_CHUNK", 3 * WORDS)
    with torch.no_grad():
        torch.testing.assert_close(layer.losses(values, targets), expected)
        assert layer.losses(values[:0], targets[:0]).shape == (0,)


def test_losses_of_an_adaptive_softmax_are_those_of_probabilities():
    layer = AdaptiveSoftmax(WORDS, 16, [8, 20])
    values = torch.randn(1, 16).expand(WORDS, 16)
    with torch.no_grad():
        losses = layer.losses(values, torch.arange(WORDS))
        assert layer.losses(values[:0], torch.arange(0)).shape == (0,)
    assert float((-losses).exp().sum()) == pytest.approx(1, abs=1e-5)


def test_clusters_without_width_are_refused():
    with pytest.raises(ValueError, match=r"\[G148\].*has 3 cut-offs, but a width of 16 allows 2"):
        AdaptiveSoftmax(WORDS, 16, [5, 10, 20])
