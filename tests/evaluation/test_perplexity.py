"""Held-out loss: exact means over all targets, whatever the batches."""

import math

import pytest
import torch

from glomo_spacy.evaluation.graph_heads import head_statistics
from glomo_spacy.evaluation.perplexity import draw_positions, held_out_loss
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

CPU = torch.device("cpu")


@pytest.fixture
def model() -> GlomoModel:
    config = GlomoConfig(20, width=16, n_layers=1, n_heads=4, n_key_layers=1, n_query_layers=1, fixed_windows=(1,))
    model = GlomoModel(config).eval()
    torch.nn.init.normal_(model.embedding.weight)
    return model


@pytest.fixture
def windows():
    ids = torch.randint(20, (5, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(12) < torch.tensor([12, 12, 9, 5, 2])[:, None]
    return ids, mask


def measure(model, batches, **settings):
    return held_out_loss(model, batches, **{"n_positions": None, "seed": 1, "device": CPU, **settings})


def test_loss_is_the_models_loss_where_nothing_is_padded(model, windows):
    ids = windows[0]
    positions = torch.arange(9), torch.arange(9)
    found = measure(model, [(ids, torch.ones_like(ids, dtype=torch.bool))], n_positions=9)
    assert found["loss"] == pytest.approx(float(model.loss(ids, positions=positions).detach()), rel=1e-6)
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["n_targets"] == 2 * 5 * 9 * 3
    assert found["loss"] == pytest.approx(sum(found["step_losses"]) / 3)
    assert found["loss"] == pytest.approx((found["loss_left"] + found["loss_right"]) / 2)


def test_the_mean_is_over_targets_not_over_batches(model, windows):
    ids, mask = windows
    one_by_one = [(row[None, : int(real.sum())], real[None, : int(real.sum())]) for row, real in zip(ids, mask)]
    found, expected = measure(model, [(ids, mask)]), measure(model, one_by_one)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    # Each word of a window of n tokens is a target from the 3 positions before it, as far as there are any.
    assert found["n_targets"] == expected["n_targets"] == 2 * sum(3 * n - 6 + (n == 2) for n in (12, 12, 9, 5, 2))


def test_positions_are_the_same_every_time_and_without_repetition():
    left, right = draw_positions(30, 10, seed=5)
    again, _ = draw_positions(30, 10, seed=5)
    assert torch.equal(left, again)
    assert len(set(left.tolist())) == len(set(right.tolist())) == 10
    assert not torch.equal(left, right)
    assert int(left.max()) < 30
    assert draw_positions(4, 10, seed=5)[0].tolist() == [0, 1, 2, 3]


def test_processes_share_the_batches_and_sum_to_the_whole(model, windows, monkeypatch):
    ids, mask = windows
    batches = [(ids[:2], mask[:2]), (ids[2:3], mask[2:3]), (ids[3:4], mask[3:4])]
    parts = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: parts.append(sums.clone()))
    for rank in (0, 1):
        measure(model, batches, n_positions=3, rank=rank, world_size=2)
    whole = []
    monkeypatch.setattr("glomo_spacy.evaluation.perplexity._summary", lambda sums: whole.append(sums))
    measure(model, batches, n_positions=3)
    torch.testing.assert_close(parts[0] + parts[1], whole[0])


def test_text_without_a_target_has_no_loss(model):
    ids = torch.zeros(2, 1, dtype=torch.long)
    found = measure(model, [(ids, torch.ones_like(ids, dtype=torch.bool))])
    assert (found["n_targets"], math.isnan(found["loss"])) == (0, True)


def test_head_statistics_count_what_the_graphs_show(model, windows):
    ids, mask = windows
    found = head_statistics(model, ids, mask)
    graphs = model.graphs(ids, mask).detach()
    assert found["heads"] == ["left 1.1", "left 1.2", "left 1.3", "right 1.1", "right 1.2", "right 1.3"]
    for place, name in enumerate(found["heads"]):
        side, head = int(name.startswith("right")), int(name[-1])
        empty, zero, neighbour = [], [], []
        for graph, real in zip(graphs[:, side, head], mask):
            n = int(real.sum())
            for receiver in range(n):
                past = range(receiver + 1, n) if side else range(receiver)
                if past:
                    empty.append(float(graph[receiver].sum()) < 0.5)
                    zero += [float(graph[receiver, source]) <= 1e-6 for source in past]
                    neighbour.append(float(graph[receiver, receiver + (1 if side else -1)]))
        assert found["empty"][place] == pytest.approx(sum(empty) / len(empty))
        assert found["zero"][place] == pytest.approx(sum(zero) / len(zero))
        assert found["neighbour"][place] == pytest.approx(sum(neighbour) / len(neighbour), rel=1e-5)
