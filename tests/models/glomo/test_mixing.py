"""Mixing candidate graphs, transferring features along the mixture, and fusing them."""

from itertools import product
from typing import Iterator, List

import numpy as np
import pytest
import torch
from reference.graph_transfer import graph_transfer
from torch import Tensor

from glomo_spacy.models.glomo.mixing import FUSIONS, MIXTURES, GraphTransfer, GraphWindows, TransferConfig, mix_graphs

WIDTH, LAYERS, HEADS = 5, 2, 3


def make_transfer(mixture: str, fusion: str, n_mixes: int) -> GraphTransfer:
    """A float64 transfer whose parameters are all random: no initial value may hide a mistake."""
    transfer = GraphTransfer(TransferConfig(WIDTH, LAYERS, HEADS, mixture, n_mixes, fusion)).double()
    for parameter in transfer.parameters():
        torch.nn.init.normal_(parameter)
    return transfer


def make_graphs(length: int) -> Tensor:
    """Random rows that sum to 1, left graphs strictly lower triangular, right ones upper: (2 * layers, heads, s, s)."""
    scores = torch.rand(2 * LAYERS, HEADS, length, length, dtype=torch.float64)
    scores = torch.cat([scores[:LAYERS].tril(-1), scores[LAYERS:].triu(1)])
    return scores / scores.sum(-1, keepdim=True).clamp(min=1e-16)


def one_window(graphs: Tensor, first: int = 0) -> GraphWindows:
    length = graphs.shape[-1]
    positions = torch.arange(first, first + length)[None]
    return GraphWindows(positions, torch.ones_like(positions, dtype=torch.bool), graphs[None].unbind(1))


@pytest.mark.parametrize("mixture, fusion, n_mixes", [*product(MIXTURES, FUSIONS, (1, 2))])
def test_transfer_equals_plain_loops(mixture: str, fusion: str, n_mixes: int) -> None:
    transfer = make_transfer(mixture, fusion, n_mixes)
    features, graphs = torch.randn(6, WIDTH, dtype=torch.float64), make_graphs(6)
    result = transfer(features, [one_window(graphs)]).detach().numpy()
    state = {name: tensor.numpy() for name, tensor in transfer.state_dict().items()}
    options = {"mixture": mixture, "n_mixes": n_mixes, "fusion": fusion}
    expected = graph_transfer(features.numpy(), graphs.numpy(), state, **options)
    assert result.shape == (6, transfer.config.output_width)
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("fusion, width", [("concatenate", WIDTH * 5), ("gate", WIDTH * 2)])
def test_output_width_is_as_published(fusion: str, width: int) -> None:
    assert TransferConfig(WIDTH, LAYERS, HEADS, n_mixes=2, fusion=fusion).output_width == width


def test_scales_begin_at_one_and_free_mixture_at_uniform() -> None:
    transfer = GraphTransfer(TransferConfig(WIDTH, LAYERS, HEADS, "free", 2))
    assert torch.equal(transfer.scales, torch.ones(2, 2))
    weights = transfer.mixture(torch.randn(1, 4, WIDTH), dropout=0.0)
    torch.testing.assert_close(weights, torch.full((2, 2, LAYERS, HEADS), 1 / (LAYERS * HEADS)))


def test_conditioned_mixture_differs_by_position_and_sums_to_one() -> None:
    transfer = make_transfer("conditioned", "concatenate", 2)
    weights = transfer.mixture(torch.randn(1, 4, WIDTH, dtype=torch.float64), dropout=0.0)
    assert weights.shape == (1, 4, 2, 2, LAYERS, HEADS)
    torch.testing.assert_close(weights.sum((-2, -1)), torch.ones(1, 4, 2, 2, dtype=torch.float64))
    assert (weights[0, 0] - weights[0, 1]).abs().max() > 0.01


@pytest.mark.parametrize("mixture, fusion", [*product(MIXTURES, FUSIONS)])
def test_gradients_reach_features_and_every_parameter(mixture: str, fusion: str) -> None:
    transfer = make_transfer(mixture, fusion, 2)
    features, graphs = torch.randn(4, WIDTH, dtype=torch.float64, requires_grad=True), make_graphs(4)

    def run(features: Tensor, *_: Tensor) -> Tensor:
        return transfer(features, [one_window(graphs)])

    assert torch.autograd.gradcheck(run, (features, *transfer.parameters()))
    run(features).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in transfer.parameters())


def test_gradient_flows_through_received_features_alone() -> None:
    transfer = make_transfer("uniform", "concatenate", 1)
    features = torch.randn(4, WIDTH, dtype=torch.float64, requires_grad=True)
    transfer(features, [one_window(make_graphs(4))])[:, WIDTH:].sum().backward()
    assert features.grad is not None
    assert features.grad.abs().max() > 0


@pytest.mark.parametrize("mixture", [*MIXTURES])
def test_padding_and_batch_mates_change_nothing(mixture: str) -> None:
    transfer = make_transfer(mixture, "gate", 1)
    features, short, long = torch.randn(9, WIDTH, dtype=torch.float64), make_graphs(3), make_graphs(6)
    alone = transfer(features, [one_window(short), one_window(long, first=3)])
    padded = torch.zeros_like(long)
    padded[..., :3, :3] = short
    positions = torch.tensor([[0, 1, 2, 0, 0, 0], [3, 4, 5, 6, 7, 8]])
    is_kept = torch.tensor([[True] * 3 + [False] * 3, [True] * 6])
    together = transfer(features, [GraphWindows(positions, is_kept, torch.stack([padded, long]).unbind(1))])
    torch.testing.assert_close(together, alone)


def test_overlapping_windows_give_each_token_its_central_row() -> None:
    transfer = make_transfer("uniform", "concatenate", 1)
    features, first, second = torch.randn(6, WIDTH, dtype=torch.float64), make_graphs(4), make_graphs(4)
    positions = torch.tensor([[0, 1, 2, 3], [2, 3, 4, 5]])
    is_kept = torch.tensor([[True, True, True, False], [False, True, True, True]])
    result = transfer(features, [GraphWindows(positions, is_kept, torch.stack([first, second]).unbind(1))])
    from_first = transfer(features[:4], [one_window(first)])
    from_second = transfer(features[2:], [one_window(second)])
    torch.testing.assert_close(result, torch.cat([from_first[:3], from_second[1:]]))


def test_tokens_outside_every_window_receive_nothing() -> None:
    transfer = make_transfer("conditioned", "concatenate", 1)
    features = torch.randn(5, WIDTH, dtype=torch.float64)
    result = transfer(features, [one_window(make_graphs(3), first=1)])
    assert torch.equal(result[[0, 4]][:, WIDTH:], torch.zeros(2, 2 * WIDTH, dtype=torch.float64))
    assert torch.equal(transfer(features, [])[:, :WIDTH], features)


def test_layers_are_drawn_one_at_a_time() -> None:
    drawn: List[int] = []

    def layers() -> Iterator[Tensor]:
        for index, graphs in enumerate(make_graphs(3)[None].unbind(1)):
            drawn.append(index)
            yield graphs

    weights = torch.full((2, 1, LAYERS, HEADS), 1 / 6, dtype=torch.float64)
    assert mix_graphs(layers(), weights).shape == (1, 2, 1, 3, 3)
    assert drawn == list(range(2 * LAYERS))


@pytest.mark.parametrize("mixture, fusion", [("conditioned", "concatenate"), ("uniform", "gate")])
def test_dropout_acts_only_when_its_rate_is_given(mixture: str, fusion: str) -> None:
    transfer = make_transfer(mixture, fusion, 1)
    features, windows = torch.randn(6, WIDTH, dtype=torch.float64), [one_window(make_graphs(6))]
    still = transfer(features, windows)
    assert torch.equal(transfer(features, windows), still)
    assert not torch.allclose(transfer(features, windows, dropout=0.5), still)


@pytest.mark.parametrize("field, value", [("mixture", "random"), ("fusion", "gru"), ("n_mixes", 0), ("width", 2.5)])
def test_unknown_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"G10[01].*{field}.*{value}"):
        TransferConfig(**{"width": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, field: value})
