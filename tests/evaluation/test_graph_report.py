"""The measures that say whether a graph is alive, how far it looks and whether the receiver matters."""

import pytest
import torch

from glomo_spacy.evaluation.graph_report import _column_share, _row_variation, arc_chances, count_arcs, report_heads
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel


@pytest.fixture
def model() -> GlomoModel:
    torch.manual_seed(0)
    config = GlomoConfig(40, width=16, n_layers=2, n_heads=4, n_key_layers=1, n_query_layers=1, fixed_windows=(1,))
    model = GlomoModel(config).eval()
    for name, parameter in model.named_parameters():
        if "keys" in name or "queries" in name or "embedding" in name:
            torch.nn.init.normal_(parameter)  # scores far from the thresholds, on both sides
    return model


@pytest.fixture
def windows() -> torch.Tensor:
    return torch.randint(40, (3, 16), generator=torch.Generator().manual_seed(1))


def test_report_names_every_learned_head_once(model, windows):
    names = [report.name for report in report_heads(model, windows)]
    assert names == [f"{side} {layer}.{head}" for side in ("left", "right") for layer in (1, 2) for head in (1, 2, 3)]


def test_weight_by_distance_sums_to_the_share_of_rows_that_are_alive(model, windows):
    for report in report_heads(model, windows):
        assert sum(report.weight_by_distance) == pytest.approx(1 - report.empty_rows, abs=1e-4)


def test_a_head_whose_threshold_nothing_passes_is_reported_empty(model, windows):
    model.left.graph.sparsity.thresholds[0].weight.data.zero_()
    model.left.graph.sparsity.thresholds[0].bias.data.fill_(1e6)
    reports = {report.name: report for report in report_heads(model, windows)}
    assert reports["left 1.2"].empty_rows == 1.0
    assert reports["left 1.2"].zero_share == 1.0
    assert reports["left 2.2"].empty_rows < 1.0


def test_column_share_is_one_when_only_the_source_matters_and_small_for_noise():
    generator = torch.Generator().manual_seed(2)
    by_source = torch.randn(4, 1, 1, 32, generator=generator).expand(4, 1, 32, 32)
    noise = torch.randn(4, 1, 32, 32, generator=generator)
    shares = _column_share(torch.cat([by_source, noise], dim=1))
    assert shares[0] == pytest.approx(1.0, abs=1e-4)
    assert shares[1] < 0.08  # the floor is 1/32


def test_row_variation_is_zero_for_equal_rows_and_one_for_disjoint_rows():
    equal = torch.full((1, 1, 8, 8), 1 / 8)
    disjoint = torch.eye(8)[None, None]
    assert _row_variation(torch.cat([equal, disjoint], dim=1)).tolist() == pytest.approx([0.0, 1.0])


def test_heads_without_dependence_on_the_receiver_never_swap(model, windows):
    for half in (model.left, model.right):
        for queries in half.graph.queries:
            queries.weight.data.zero_()  # every receiver asks the same: the bias
    assert all(report.swap_share == 0.0 for report in report_heads(model, windows))
    assert all(report.row_variation < 1e-5 for report in report_heads(model, windows) if report.empty_rows == 0.0)


def test_arc_rates_count_syntactic_neighbours_and_the_chance_of_their_distance():
    graphs = torch.zeros(2, 2, 4, 4)
    graphs[:, 0, 1, 0] = graphs[:, 0, 2, 1] = graphs[:, 0, 3, 2] = 1.0  # always the previous token
    graphs[:, 1, 2, 0] = graphs[:, 1, 3, 0] = 1.0
    heads = [[-1, 0, 0, 0], [1, -1, 1, 2]]
    rows, hits, expected = count_arcs(graphs, heads, arc_chances(heads))
    # Previous token: arcs (1, 0) of the first sentence, all three of the second: 4 of 6, which is also the chance at
    # distance 1. Second graph: (2, 0) and (3, 0) are arcs of the first sentence only; at distance 2 one of four pairs
    # is an arc, at distance 3 one of two.
    assert rows.tolist() == [6, 4]
    assert hits.tolist() == [4, 2]
    assert expected.tolist() == pytest.approx([4, 2 * 1 / 4 + 2 * 1 / 2])
