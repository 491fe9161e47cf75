"""RelationalGraph against dense matrices."""

import sys

import numpy as np
import pytest

from glomo_spacy.graphs import Edge, RelationalGraph, prune_rows

DENSE = np.array(
    [
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0],
        [0.25, 0.75, 0.0, 0.0],
        [0.5, 0.005, 0.495, 0.0],
    ],
    dtype=np.float32,
)


def random_rows(n_tokens: int) -> np.ndarray:
    dense = np.random.rand(n_tokens, n_tokens).astype(np.float32) ** 4
    return dense / dense.sum(1, keepdims=True)


def all_graphs() -> RelationalGraph:
    """Mixed graph, then 2 directions x 1 layer x 2 heads, each a multiple of DENSE."""
    graphs = [prune_rows(DENSE * factor) for factor in (1.0, 0.1, 0.2, 0.3, 0.4)]
    return RelationalGraph.from_rows(graphs, n_tokens=4, n_layers=1, n_heads=2)


def test_dense_gives_back_the_matrix() -> None:
    np.testing.assert_array_equal(RelationalGraph.from_dense(DENSE).dense(), DENSE)


def test_pruning_keeps_what_a_plain_loop_keeps() -> None:
    dense = random_rows(30)
    graph = RelationalGraph.from_dense(dense, top_k=5, min_weight=0.03)
    for receiver, row in enumerate(dense):
        strongest = [source for source in np.argsort(-row)[:5] if row[source] > 0.03]
        sources, weights = graph.row(receiver)
        assert sources.tolist() == strongest
        np.testing.assert_array_equal(weights, row[strongest])


def test_equal_weights_are_kept_in_the_order_of_the_text() -> None:
    counts, sources, _ = prune_rows(np.full((2, 6), 0.125, dtype=np.float32), top_k=3)
    assert counts.tolist() == [3, 3]
    assert sources.tolist() == [0, 1, 2, 0, 1, 2]


def test_weights_that_differ_in_the_last_bit_are_ordered_in_a_late_row() -> None:
    close = np.zeros((100_000, 2), dtype=np.float32)
    close[-1] = (np.nextafter(np.float32(0.3), np.float32(0)), 0.3)
    assert prune_rows(close).sources.tolist() == [1, 0]


def test_a_weight_equal_to_the_minimum_is_left_out() -> None:
    assert prune_rows(DENSE, min_weight=0.5).weights.tolist() == [1.0, 0.75]


def test_weights_above_one_stay_in_their_row() -> None:
    assert prune_rows(10 * DENSE).sources.tolist() == prune_rows(DENSE).sources.tolist()


def test_zeros_are_never_edges() -> None:
    assert len(RelationalGraph.from_dense(DENSE, min_weight=0.0).weights) == 6


def test_kept_mass_is_one_zero_or_what_pruning_left() -> None:
    graph = RelationalGraph.from_dense(DENSE, top_k=1)
    np.testing.assert_allclose(graph.kept_mass(), [0.0, 1.0, 0.75, 0.5])
    assert graph.kept_mass().dtype == np.float32


def test_edges_go_from_receiver_to_source_strongest_first() -> None:
    edges = RelationalGraph.from_dense(DENSE).edges(min_weight=0.1, top_k=2)
    expected = [(1, 0, 1.0), (2, 1, 0.75), (2, 0, 0.25), (3, 0, 0.5), (3, 2, np.float32(0.495))]
    assert edges == [Edge(*edge) for edge in expected]
    assert edges[0].source == 0


def test_edges_can_be_cut_to_the_strongest_of_each_receiver() -> None:
    assert [edge[:2] for edge in RelationalGraph.from_dense(DENSE).edges(top_k=1)] == [(1, 0), (2, 1), (3, 0)]


@pytest.mark.parametrize("name, factor", [("mixed", 1.0), (("left", 0, 1), 0.2), (("right", 0, 0), 0.3)])
def test_each_graph_is_found_by_its_name(name: object, factor: float) -> None:
    graph = all_graphs()
    np.testing.assert_allclose(graph.dense(graph=name), DENSE * factor, rtol=1e-6)
    np.testing.assert_allclose(graph.kept_mass(graph=name), DENSE.sum(1) * factor, rtol=1e-6)
    np.testing.assert_allclose(graph.row(2, graph=name)[1], np.array([0.75, 0.25]) * factor, rtol=1e-6)
    assert len(graph.edges(graph=name)) == 6


def test_names_list_the_mixed_graph_and_every_direction_layer_and_head() -> None:
    expected = ["mixed", ("left", 0, 0), ("left", 0, 1), ("right", 0, 0), ("right", 0, 1)]
    assert all_graphs().names == expected
    assert RelationalGraph.from_dense(DENSE).names == ["mixed"]


def test_a_graph_that_was_not_kept_is_named_with_the_way_to_keep_it() -> None:
    with pytest.raises(ValueError, match=r"G011.*'left', 0, 0.*Available: mixed.*keep=\"all\""):
        RelationalGraph.from_dense(DENSE).dense(graph=("left", 0, 0))


def test_a_row_outside_the_text_is_an_index_error() -> None:
    for receiver in (-1, 4):
        with pytest.raises(IndexError):
            RelationalGraph.from_dense(DENSE).row(receiver)


def test_arrays_are_plain_and_rebuild_the_graph() -> None:
    arrays = all_graphs().to_arrays()
    assert {type(value) for value in arrays.values()} == {int, np.ndarray}
    np.testing.assert_array_equal(RelationalGraph.from_arrays({**arrays, "more": 1}).dense(), DENSE)


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({"n_tokens": 5}, "4 rows for 1 graphs of 5 tokens"),
        ({"weights": np.zeros(2, dtype=np.float32)}, "6 sources and 2 weights for 6 edges"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changed: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=f"G013.*{reason}"):
        RelationalGraph.from_arrays({**RelationalGraph.from_dense(DENSE).to_arrays(), **changed})


@pytest.mark.parametrize("n_tokens", [0, 1])
def test_empty_and_one_token_texts_have_graphs_without_edges(n_tokens: int) -> None:
    graph = RelationalGraph.from_dense(np.zeros((n_tokens, n_tokens)))
    assert graph.dense().shape == (n_tokens, n_tokens)
    assert graph.edges() == []
    assert graph.kept_mass().tolist() == [0.0] * n_tokens
    assert repr(graph) == f"RelationalGraph(tokens={n_tokens}, graphs=1, edges=0)"


def test_to_scipy_equals_dense_for_every_graph() -> None:
    pytest.importorskip("scipy")
    graph = all_graphs()
    for name in graph.names:
        matrix = graph.to_scipy(graph=name)
        np.testing.assert_array_equal(matrix.toarray(), graph.dense(graph=name))
        assert matrix.has_sorted_indices
    assert graph.row(2)[0].tolist() == [1, 0]  # sorting did not touch the graph


def test_to_networkx_points_from_source_to_receiver() -> None:
    pytest.importorskip("networkx")
    digraph = RelationalGraph.from_dense(DENSE).to_networkx(words=["a", "b", "c", "d"])
    assert digraph.edges[1, 2]["weight"] == 0.75
    assert not digraph.has_edge(2, 1)
    assert digraph.nodes[3]["text"] == "d"
    assert len(RelationalGraph.from_dense(np.zeros((3, 3))).to_networkx()) == 3


@pytest.mark.parametrize("package, method", [("scipy.sparse", "to_scipy"), ("networkx", "to_networkx")])
def test_a_missing_extra_is_named_with_its_pip_line(package: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'G012.*{package[:5]}.*pip install "glomo-spacy\[viz\]"'):
        getattr(RelationalGraph.from_dense(DENSE), method)()
