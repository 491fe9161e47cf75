import json

import numpy
import pytest

from glomo_spacy.graphs import RelationalGraph
from glomo_spacy.visual.graph_data import (
    Edges,
    GraphName,
    WordGraphs,
    checked,
    edges_from_dense,
    in_parts,
    page_data,
    select_words,
    without_whitespace,
)
from glomo_spacy.visual.templates import to_json

NAME = GraphName("mixed", label="Mixed", group="Mixed")


def dense_from(edges: Edges) -> numpy.ndarray:
    dense = numpy.zeros((len(edges.rows) - 1,) * 2)
    for receiver in range(len(dense)):
        for place in range(edges.rows[receiver], edges.rows[receiver + 1]):
            dense[receiver, edges.sources[place]] = edges.weights[place]
    return dense


def random_graph(n_words: int) -> numpy.ndarray:
    weights = numpy.random.default_rng(n_words).random((n_words, n_words)) * (1 - numpy.eye(n_words))
    return (weights / weights.sum(axis=1, keepdims=True).clip(1e-9)).astype("float32")


@pytest.mark.parametrize("n_words", [0, 1, 2, 9])
def test_a_dense_graph_comes_back_from_its_edges(n_words: int) -> None:
    graph = random_graph(n_words)
    assert numpy.array_equal(dense_from(edges_from_dense(graph, floor=0.0)), graph)


def test_weights_below_the_floor_are_left_out() -> None:
    edges = edges_from_dense([[0.0, 0.009], [0.5, 0.0]])
    assert edges.weights.tolist() == [0.5]


def test_selected_words_keep_exactly_the_relations_among_them() -> None:
    graph, keep = random_graph(7), numpy.array([True, False, True, True, False, False, True])
    selected = select_words(edges_from_dense(graph, floor=0.0), keep)
    assert numpy.array_equal(dense_from(selected), graph[keep][:, keep])


def test_whitespace_words_are_left_out_and_the_others_keep_their_relations() -> None:
    graph = numpy.zeros((4, 4))
    graph[3, 0] = 0.75
    text = without_whitespace(WordGraphs(["Hello", "\n\n", " ", "world"], [edges_from_dense(graph)]))
    assert text.words == ["Hello", "world"]
    assert dense_from(text.graphs[0])[1, 0] == 0.75


def test_a_long_text_becomes_parts_that_hold_every_word_once() -> None:
    text = WordGraphs(
        [str(number) for number in range(23)], [edges_from_dense(random_graph(23))], name="Numbers", note="Held out."
    )
    parts = in_parts(text, max_words=10)
    assert [word for part in parts for word in part.words] == text.words
    assert max(len(part.words) for part in parts) <= 10
    assert not any(part.name for part in parts)
    assert parts[1].note == "Words 8–15 of 23. Relations with words of other parts are not drawn. Held out."


def test_a_short_text_is_one_part() -> None:
    text = WordGraphs(["a", "b"], [])
    assert in_parts(text, max_words=2) == [text]


def test_a_relational_graph_gives_its_graphs_in_the_order_of_its_names() -> None:
    rows = RelationalGraph.from_dense(random_graph(5))
    text = WordGraphs.from_relational(list("abcde"), rows)
    assert len(text.graphs) == len(rows.names) == 1
    assert numpy.allclose(dense_from(text.graphs[0]), rows.dense())


def test_weights_are_stored_as_whole_thousandths() -> None:
    text = WordGraphs(["a", "b"], [edges_from_dense([[0, 0.1234], [1.0004, 0]])])
    packed = page_data([text], [NAME])["docs"][0]["graphs"][0]
    assert packed == {"rows": [0, 1, 2], "sources": [1, 0], "weights": [123, 1000]}


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_weight_outside_0_to_1_is_refused(weight: float) -> None:
    edges = Edges(numpy.array([0, 0, 1]), numpy.array([0]), numpy.array([weight]))
    with pytest.raises(ValueError, match=r"\[G031\] Weights of a graph must lie between 0 and 1"):
        checked(edges, n_words=2)


def test_a_nan_in_a_dense_graph_is_not_lost() -> None:
    edges = edges_from_dense([[0.0, float("nan")], [0.5, 0.0]])
    with pytest.raises(ValueError, match=r"\[G031\].*nan"):
        checked(edges, n_words=2)


@pytest.mark.parametrize("shape", [(2, 3), (4,), (2, 2, 2)])
def test_a_graph_that_is_not_square_is_refused(shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"\[G030\] Each graph needs one row and one column per word"):
        edges_from_dense(numpy.zeros(shape))


def test_a_graph_of_another_size_than_its_words_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G030\].*expected \(3, 3\), but found \(2, 2\)"):
        checked(edges_from_dense(numpy.zeros((2, 2))), n_words=3)


@pytest.mark.parametrize("text", ["</script><img src=x>", "a & b", "line\u2028end\u2029", "café 日本", "\ud800", '"\\'])
def test_json_in_the_page_holds_no_markup_and_reads_back(text: str) -> None:
    written = to_json({"words": [text]})
    assert written.isascii()
    assert not set("<>&") & set(written)
    assert json.loads(written) == {"words": [text]}
