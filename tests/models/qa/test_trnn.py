"""Graphs between an encoder's states."""

from typing import Any, Iterable

import numpy as np
import pytest
import torch
from reference.graph_transfer import graph_transfer
from torch import Tensor

from glomo_spacy.models.glomo.mixing import TransferConfig
from glomo_spacy.models.packing import TextPacking
from glomo_spacy.models.qa.trnn import TRNN

WIDTH, LAYERS, HEADS, LENGTH = 4, 3, 2, 6


def make_trnn(n_mixes: int = 2, **settings: Any) -> TRNN:
    """A float64 TRNN whose parameters are all random."""
    options = {"fusion": "gate", "candidates": "products", **settings}
    trnn = TRNN(TransferConfig(WIDTH, LAYERS, HEADS, "conditioned", n_mixes, **options)).double()
    for parameter in trnn.parameters():
        torch.nn.init.normal_(parameter)
    return trnn


def make_graphs(length: int = LENGTH) -> Tensor:
    """Left and right graphs: (2 * layers, heads, receiver, source)."""
    scores = torch.rand(2 * LAYERS, HEADS, length, length, dtype=torch.float64)
    return torch.cat([scores[:LAYERS].tril(-1), scores[LAYERS:].triu(1)])


def run(trnn: TRNN, states: Tensor, layers: Iterable[Tensor], mask: Tensor, **options: float) -> Tensor:
    """Padded in, padded out."""
    packing = TextPacking(mask)
    return packing.unpack(trnn(packing.pack(states), layers, packing, **options))


def test_states_are_joined_by_a_gated_half_made_with_products() -> None:
    trnn, graphs = make_trnn(), make_graphs()
    states = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    result = run(trnn, states, graphs[None].unbind(1), torch.ones(1, LENGTH, dtype=torch.bool))
    state = {name.removeprefix("transfer."): values.numpy() for name, values in trnn.state_dict().items()}
    options = {"mixture": "conditioned", "n_mixes": 2, "fusion": "gate", "candidates": "products"}
    expected = graph_transfer(states[0].numpy(), graphs.numpy(), state, **options)
    np.testing.assert_allclose(result[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("n_mixes", [1, 2, 4])
def test_gate_maps_all_mixes_to_the_width_of_a_state(n_mixes: int) -> None:
    trnn = make_trnn(n_mixes)
    assert trnn.transfer.fusion.value.weight.shape == (WIDTH, WIDTH * (2 * n_mixes + 1))
    states, mask = torch.zeros(1, LENGTH, WIDTH, dtype=torch.float64), torch.ones(1, LENGTH, dtype=torch.bool)
    assert run(trnn, states, make_graphs()[None].unbind(1), mask).shape == (1, LENGTH, 2 * WIDTH)


def test_padding_and_batch_mates_change_no_state() -> None:
    trnn, graphs = make_trnn(), make_graphs()
    states = torch.randn(2, LENGTH, WIDTH, dtype=torch.float64)
    mask = torch.arange(LENGTH) < torch.tensor([[LENGTH], [4]])
    layers = (graphs * (mask[:, None, None, :, None] & mask[:, None, None, None, :])).unbind(1)
    together = run(trnn, states, layers, mask)
    alone = run(trnn, states[1:, :4], graphs[None, ..., :4, :4].unbind(1), mask[1:, :4])
    torch.testing.assert_close(together[1, :4], alone[0])


def test_dropout_acts_only_when_its_rate_is_given() -> None:
    trnn, layers, mask = make_trnn(), make_graphs()[None].unbind(1), torch.ones(1, LENGTH, dtype=torch.bool)
    states = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    assert torch.equal(run(trnn, states, layers, mask), run(trnn, states, layers, mask))
    assert not torch.allclose(run(trnn, states, layers, mask, dropout=0.5), run(trnn, states, layers, mask))


@pytest.mark.parametrize("settings", [{"fusion": "concatenate"}, {"graph": "uniform"}])
def test_other_fusions_and_the_uniform_graph_are_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match=f"G113.*{next(iter(settings.values()))}"):
        make_trnn(**settings)
