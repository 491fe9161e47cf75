"""Candidate graphs, their products, and the two ways to send features along them."""

from typing import Any, Iterator, List

import pytest
import torch
from torch import Tensor

from glomo_spacy.models.glomo import candidates
from glomo_spacy.models.glomo.candidates import candidate_names, is_following_cheaper, mix_graphs, receive

LAYERS, HEADS, MIXES = 3, 2, 2
N_CANDIDATES = {False: LAYERS, True: 2 * LAYERS - 1}


def make_layers(length: int, *, dtype: torch.dtype = torch.float64, batch: int = 2) -> List[Tensor]:
    """Random graphs of all layers, left ones lower triangular, right ones upper."""
    scores = torch.rand(2 * LAYERS, batch, HEADS, length, length, dtype=dtype)
    return [*scores[:LAYERS].tril(-1).unbind(0), *scores[LAYERS:].triu(1).unbind(0)]


def make_weights(length: int, *, with_products: bool, by_receiver: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    shape = (2, MIXES, N_CANDIDATES[with_products], HEADS)
    logits = torch.randn(*((2, length) if by_receiver else ()), *shape, dtype=dtype)
    return logits.flatten(-2).softmax(-1).unflatten(-1, shape[2:]).requires_grad_()


def test_products_stand_after_the_layer_they_end_with() -> None:
    assert candidate_names(3, with_products=True) == ["G1", "G2", "G2 G1", "G3", "G3 G2 G1"]
    assert candidate_names(3) == ["G1", "G2", "G3"]
    assert candidate_names(1, with_products=True) == ["G1"]


@pytest.mark.parametrize(
    "name, place", [(name, place) for place, name in enumerate(candidate_names(3, with_products=True))]
)
def test_each_candidate_is_the_product_its_name_says(name: str, place: int) -> None:
    layers, weights = make_layers(5), torch.zeros(2, 1, 5, HEADS, dtype=torch.float64)
    weights[:, :, place, 1] = 1.0
    mixed = mix_graphs(layers, weights, with_products=True)
    for direction in range(2):
        expected = torch.eye(5, dtype=torch.float64)
        for factor in name.split():
            expected = expected @ layers[direction * LAYERS + int(factor[1]) - 1][:, 1]
        torch.testing.assert_close(mixed[:, :, direction, 0], expected.expand(2, 5, 5))


@pytest.mark.parametrize("by_receiver", [True, False])
def test_following_products_gives_what_writing_them_out_gives(by_receiver: bool, monkeypatch: Any) -> None:
    layers, weights = make_layers(6), make_weights(6, with_products=True, by_receiver=by_receiver)
    features = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    results, gradients = [], []
    for is_followed in (True, False):
        monkeypatch.setattr(candidates, "is_following_cheaper", lambda *_, choice=is_followed: choice)
        results.append(receive(features, layers, weights, with_products=True))
        gradients.append(torch.autograd.grad(results[-1].square().sum(), (features, weights)))
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients)


def test_both_ways_agree_in_single_precision(monkeypatch: Any) -> None:
    layers = make_layers(60, dtype=torch.float32)
    layers = [layer / layer.sum(-1, keepdim=True).clamp(min=1e-16) for layer in layers]
    weights = make_weights(60, with_products=True, by_receiver=True, dtype=torch.float32)
    features, results = torch.randn(2, 60, 16), []
    for is_followed in (True, False):
        monkeypatch.setattr(candidates, "is_following_cheaper", lambda *_, choice=is_followed: choice)
        results.append(receive(features, layers, weights, with_products=True))
    torch.testing.assert_close(*results, atol=1e-5, rtol=0.0)


def test_products_are_followed_in_long_texts_with_narrow_features() -> None:
    assert not is_following_cheaper(140, 152, 3, True)
    assert not is_following_cheaper(400, 300, 3, False)
    assert is_following_cheaper(400, 64, 3, True)
    assert not is_following_cheaper(400, 64, 1, True)


@pytest.mark.parametrize("with_products", [True, False])
def test_weights_by_receiver_have_the_right_gradient(with_products: bool) -> None:
    layers = make_layers(4)
    weights = make_weights(4, with_products=with_products, by_receiver=True)
    assert torch.autograd.gradcheck(lambda weights: mix_graphs(layers, weights, with_products=with_products), weights)


def test_graphs_that_take_a_gradient_get_it() -> None:
    layers = [layer.requires_grad_() for layer in make_layers(3)]
    weights = make_weights(3, with_products=True, by_receiver=True)
    mix_graphs(layers, weights, with_products=True).sum().backward()
    assert all(layer.grad is not None and bool(layer.grad.any()) for layer in layers)


@pytest.mark.parametrize("with_products", [True, False])
def test_layers_are_drawn_one_at_a_time(with_products: bool) -> None:
    alive: List[int] = []

    def layers() -> Iterator[Tensor]:
        for layer in make_layers(3):
            alive.append(len(alive))
            yield layer

    weights = make_weights(3, with_products=with_products, by_receiver=False)
    assert mix_graphs(layers(), weights, with_products=with_products).shape == (2, 3, 2, MIXES, 3)
    assert alive == list(range(2 * LAYERS))


@pytest.mark.parametrize(
    "n_layers, found", [(5, "Layer 6 of the graphs is missing"), (7, "Layer 7 .* is one too many")]
)
@pytest.mark.parametrize("is_followed", [True, False])
def test_another_number_of_layers_is_refused(n_layers: int, found: str, is_followed: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(candidates, "is_following_cheaper", lambda *_: is_followed)
    layers = [*make_layers(3), *make_layers(3)][:n_layers]
    weights = make_weights(3, with_products=True, by_receiver=True)
    with pytest.raises(ValueError, match=rf"G114.*{found}.*6 layers of 2 heads"):
        receive(torch.zeros(2, 3, 4, dtype=torch.float64), layers, weights, with_products=True)


def test_another_number_of_heads_is_refused() -> None:
    weights = make_weights(3, with_products=False, by_receiver=False)
    with pytest.raises(ValueError, match="G114.*Layer 1 of the graphs is of 1 heads.*2 heads"):
        mix_graphs([layer[:, :1] for layer in make_layers(3)], weights)
