"""Mixing candidate graphs, transferring features along the mixture, and fusing them."""

from itertools import product
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import torch
from reference.graph_transfer import graph_transfer, mixed_graphs, uniform_transfer
from torch import Tensor

from glomo_spacy.models.glomo.fusions import FUSIONS
from glomo_spacy.models.glomo.mixing import GraphTransfer, GraphWindows, TransferConfig
from glomo_spacy.models.glomo.mixtures import MIXTURES
from glomo_spacy.models.packing import TextPacking

WIDTH, LAYERS, HEADS = 5, 3, 2


def make_transfer(mixture: str, fusion: str, n_mixes: int, **settings: Any) -> GraphTransfer:
    """A float64 transfer whose parameters are all random: no initial value may hide a mistake."""
    transfer = GraphTransfer(TransferConfig(WIDTH, LAYERS, HEADS, mixture, n_mixes, fusion, **settings)).double()
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
    everywhere = torch.ones_like(positions, dtype=torch.bool)
    return GraphWindows(positions, everywhere, everywhere, graphs[None].unbind(1))


def state_of(transfer: GraphTransfer) -> Dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in transfer.state_dict().items()}


FORMS = [("concatenate", "plain"), ("gru", "plain"), ("gate", "plain"), ("gate-products", "products")]  # gate_fuse 0-3


@pytest.mark.parametrize("mixture, form, n_mixes", [*product(MIXTURES, FORMS, (1, 2))])
def test_transfer_equals_plain_loops(mixture: str, form: Tuple[str, str], n_mixes: int) -> None:
    fusion, candidates = form
    transfer = make_transfer(mixture, fusion, n_mixes)
    assert transfer.config.candidates == candidates
    features, graphs = torch.randn(6, WIDTH, dtype=torch.float64), make_graphs(6)
    result = transfer(features, [one_window(graphs)]).detach().numpy()
    options = {"mixture": mixture, "n_mixes": n_mixes, "fusion": fusion, "candidates": candidates}
    expected = graph_transfer(features.numpy(), graphs.numpy(), state_of(transfer), **options)
    assert result.shape == (6, transfer.config.output_width)
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("fusion", [*FUSIONS])
def test_uniform_graph_sends_everyone_the_mean_of_the_text(fusion: str) -> None:
    transfer = make_transfer("conditioned", fusion, 2, graph="uniform")
    assert not any(name.startswith(("mixture", "scales")) for name in transfer.state_dict())
    features = torch.randn(6, WIDTH, dtype=torch.float64)
    short, long = torch.tensor([[True] * 2 + [False] * 2]), torch.ones(1, 4, dtype=torch.bool)
    positions = torch.tensor([[0, 1, 0, 0], [2, 3, 4, 5]])
    mask = torch.cat([short, long])
    result = transfer(features, [GraphWindows(positions, mask, mask)]).detach().numpy()
    parts = [uniform_transfer(part.numpy(), state_of(transfer), fusion) for part in (features[:2], features[2:])]
    np.testing.assert_allclose(result, np.concatenate(parts), atol=1e-12)
    assert result.shape[1] == transfer.config.output_width


def test_two_tokens_by_hand() -> None:
    """x = (1, 10); the right graph of the first token attends to the second with weight 1, products reach nothing."""
    transfer = GraphTransfer(TransferConfig(1, 2, 1, "uniform", 1, candidates="products"))
    left, right = torch.tensor([[0.0, 0.0], [0.5, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    layers = [graph[None, None] for graph in (left, left, right, right)]
    received = transfer.batched(torch.tensor([[[1.0], [10.0]]]), layers, torch.ones(1, 2, dtype=torch.bool))
    # three candidates weigh 1/3 each, two of which are the graph itself and one its square, which is 0 here
    torch.testing.assert_close(received, torch.tensor([[[0.0, 20 / 3], [1 / 3, 0.0]]]))


GATES = [("gate", 2, 2), ("gate-products", 1, 2), ("gate-products", 2, 2), ("gate-products", 3, 2)]
WIDTHS = [("concatenate", 2, 5), ("gru", 2, 2), *GATES, ("gate-products", 4, 3)]


@pytest.mark.parametrize("fusion, n_mixes, n_rows", WIDTHS)
def test_output_width_is_as_published(fusion: str, n_mixes: int, n_rows: int) -> None:
    assert TransferConfig(WIDTH, LAYERS, HEADS, n_mixes=n_mixes, fusion=fusion).output_width == WIDTH * n_rows


@pytest.mark.parametrize("form", FORMS)
def test_batched_form_gives_what_windows_give(form: Tuple[str, str]) -> None:
    transfer = make_transfer("conditioned", form[0], 2)
    rows, graphs = torch.randn(3, 7, WIDTH, dtype=torch.float64), make_graphs(7)
    mask = torch.arange(7) < torch.tensor([[7], [4], [1]])
    layers = (graphs * (mask[:, None, None, :, None] & mask[:, None, None, None, :])).unbind(1)
    fused = transfer.fuse(rows, transfer.batched(rows, layers, mask))
    for index, length in enumerate((7, 4, 1)):
        alone = transfer(rows[index, :length], [one_window(graphs[..., :length, :length])])
        torch.testing.assert_close(fused[index, :length], alone)
    assert not transfer.batched(rows, layers, mask)[~mask].any()


@pytest.mark.parametrize("form", FORMS)
def test_packed_form_gives_what_the_batched_form_gives(form: Tuple[str, str]) -> None:
    transfer = make_transfer("conditioned", form[0], 2)
    mask = torch.arange(7) < torch.tensor([[4], [7], [1]])
    rows = torch.randn(3, 7, WIDTH, dtype=torch.float64) * mask[..., None]
    layers = (make_graphs(7) * (mask[:, None, None, :, None] & mask[:, None, None, None, :])).unbind(1)
    packing = TextPacking(mask)
    fused = packing.unpack(transfer.packed(packing.pack(rows), layers, packing))
    expected = transfer.fuse(rows, transfer.batched(rows, layers, mask))
    torch.testing.assert_close(fused, expected * mask[..., None])


@pytest.mark.parametrize("is_packed", [True, False])
def test_gates_of_a_text_share_their_dropout_mask(is_packed: bool) -> None:
    transfer = make_transfer("uniform", "gate", 1)
    own, received = (torch.ones(2, 4, n_rows * WIDTH, dtype=torch.float64) for n_rows in (1, 2))
    packing = TextPacking(torch.ones(2, 4, dtype=torch.bool)) if is_packed else None
    if packing is not None:
        fused = packing.unpack(transfer.fuse(packing.pack(own), packing.pack(received), 0.5, packing=packing))
    else:
        fused = transfer.fuse(own, received, 0.5)
    torch.testing.assert_close(fused, fused[:, :1].expand_as(fused))
    assert not torch.allclose(fused[0], fused[1])


@pytest.mark.parametrize("candidates, n_mixes", [("plain", 2), ("products", 1)])
def test_mixed_graph_is_the_one_that_features_take(candidates: str, n_mixes: int) -> None:
    transfer = make_transfer("conditioned", "gate", n_mixes, candidates=candidates)
    rows, graphs = torch.randn(1, 6, WIDTH, dtype=torch.float64), make_graphs(6)
    mask = torch.ones(1, 6, dtype=torch.bool)
    mixed = transfer.mixed_graph(rows, graphs[None].unbind(1), mask)
    options = {"mixture": "conditioned", "n_mixes": n_mixes, "candidates": candidates}
    expected = mixed_graphs(rows[0].numpy(), graphs.numpy(), state_of(transfer), **options)
    np.testing.assert_allclose(mixed[0].detach().numpy(), expected, atol=1e-12)


def test_mixed_graph_of_the_control_is_uniform_over_real_tokens() -> None:
    transfer = GraphTransfer(TransferConfig(WIDTH, LAYERS, HEADS, graph="uniform"))
    mixed = transfer.mixed_graph(torch.randn(1, 3, WIDTH), (), torch.tensor([[True, True, False]]))
    assert mixed.tolist() == [[[[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]]]]


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


@pytest.mark.parametrize(
    "mixture, fusion", [("free", "gate-products"), ("uniform", "gate"), *product(["conditioned"], FUSIONS)]
)
def test_gradients_reach_features_and_every_parameter(mixture: str, fusion: str) -> None:
    transfer = make_transfer(mixture, fusion, 2)
    features, graphs = torch.randn(4, WIDTH, dtype=torch.float64, requires_grad=True), make_graphs(4)

    def run(features: Tensor, *_: Tensor) -> Tensor:
        return transfer(features, [one_window(graphs)])

    assert torch.autograd.gradcheck(run, (features, *transfer.parameters()), fast_mode=True)
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
    together = transfer(
        features, [GraphWindows(positions, torch.ones_like(is_kept), is_kept, torch.stack([padded, long]).unbind(1))]
    )
    torch.testing.assert_close(together, alone)


def test_overlapping_windows_give_each_token_its_central_row() -> None:
    transfer = make_transfer("uniform", "concatenate", 1)
    features, first, second = torch.randn(6, WIDTH, dtype=torch.float64), make_graphs(4), make_graphs(4)
    positions = torch.tensor([[0, 1, 2, 3], [2, 3, 4, 5]])
    is_kept = torch.tensor([[True, True, True, False], [False, True, True, True]])
    result = transfer(
        features, [GraphWindows(positions, torch.ones_like(is_kept), is_kept, torch.stack([first, second]).unbind(1))]
    )
    from_first = transfer(features[:4], [one_window(first)])
    from_second = transfer(features[2:], [one_window(second)])
    torch.testing.assert_close(result, torch.cat([from_first[:3], from_second[1:]]))


def test_tokens_outside_every_window_receive_nothing() -> None:
    transfer = make_transfer("conditioned", "concatenate", 1)
    features = torch.randn(5, WIDTH, dtype=torch.float64)
    result = transfer(features, [one_window(make_graphs(3), first=1)])
    assert torch.equal(result[[0, 4]][:, WIDTH:], torch.zeros(2, 2 * WIDTH, dtype=torch.float64))
    assert torch.equal(transfer(features, [])[:, :WIDTH], features)


@pytest.mark.parametrize("mixture, fusion", [("conditioned", "concatenate"), ("uniform", "gate")])
def test_dropout_acts_only_when_its_rate_is_given(mixture: str, fusion: str) -> None:
    transfer = make_transfer(mixture, fusion, 1)
    features, windows = torch.randn(6, WIDTH, dtype=torch.float64), [one_window(make_graphs(6))]
    still = transfer(features, windows)
    assert torch.equal(transfer(features, windows), still)
    assert not torch.allclose(transfer(features, windows, dropout=0.5), still)


SETTINGS = [
    ("mixture", "random"),
    ("fusion", "sum"),
    ("n_mixes", 0),
    ("width", 2.5),
    ("candidates", "all"),
    ("graph", "no"),
]


@pytest.mark.parametrize("field, value", SETTINGS)
def test_unknown_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"G10[01].*{field}.*{value}"):
        TransferConfig(**{"width": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, field: value})


def test_gate_for_products_refuses_plain_candidates() -> None:
    with pytest.raises(ValueError, match=r"G112.*'gate-products'.*candidates = 'plain'"):
        TransferConfig(WIDTH, LAYERS, HEADS, fusion="gate-products", candidates="plain")


def test_a_mask_of_another_shape_is_refused() -> None:
    transfer = make_transfer("uniform", "gate", 1)
    features = torch.zeros(1, 3, WIDTH, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"G103.*\(1, 4\).*\(1, 3\)"):
        transfer.batched(features, make_graphs(3)[None].unbind(1), torch.ones(1, 4, dtype=torch.bool))
