import json
import re

import numpy
import pytest

from glomo_spacy.graphs import RelationalGraph, Rows
from glomo_spacy.visual import GraphName, WordGraphs, edges_from_dense, graph_names, render_graph, render_page

WORDS = ["Dogs", "chase", "cats"]
GRAPH = numpy.array([[0, 0.25, 0.75], [1, 0, 0], [0.4, 0.6, 0]])
NAME = GraphName("mixed", label="Mixed", group="Mixed")


def data_of(page: str) -> dict:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def test_the_page_holds_words_and_weights() -> None:
    data = data_of(render_graph(WORDS, GRAPH))
    assert data["docs"][0]["words"] == WORDS
    assert data["docs"][0]["graphs"] == [
        {"rows": [0, 2, 3, 5], "sources": [1, 2, 0, 0, 1], "weights": [250, 750, 1000, 400, 600]}
    ]


def test_the_page_names_nothing_outside_itself() -> None:
    page = render_graph(WORDS, GRAPH).replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.findall(r"https?:|//[a-z]|@import|url\(|<link|<iframe|\ssrc=|\shref=", page)


def test_the_policy_allows_only_what_stands_in_the_page() -> None:
    page = render_graph(WORDS, GRAPH)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("graphs", "labels"),
    [
        (GRAPH, ["Graph 1"]),
        (numpy.stack([GRAPH, GRAPH]), ["Graph 1", "Graph 2"]),
        ({"learned": GRAPH, "uniform": GRAPH}, ["learned", "uniform"]),
    ],
)
def test_one_graph_several_and_named_ones_are_taken(graphs: object, labels: list) -> None:
    assert [graph["label"] for graph in data_of(render_graph(WORDS, graphs))["graphs"]] == labels


def test_graphs_are_named_in_the_order_of_a_relational_graph() -> None:
    empty = Rows(numpy.zeros(0, dtype=int), numpy.zeros(0, dtype=int), numpy.zeros(0))
    names = graph_names(RelationalGraph.from_rows([empty] * 5, n_tokens=0, n_layers=1, n_heads=2))
    assert [name.id for name in names] == ["mixed", "left-1-1", "left-1-2", "right-1-1", "right-1-2"]
    assert names[2].label == "Looks back · layer 1 · head 2"


@pytest.mark.parametrize("words", [[], ["alone"], ["\n", " "]])
def test_texts_without_relations_make_a_page(words: list) -> None:
    page = render_graph(words, numpy.zeros((len(words), len(words))))
    assert data_of(page)["docs"][0]["graphs"][0]["weights"] == []


def test_text_in_title_and_words_never_becomes_markup() -> None:
    hostile = "</title></script><img src=x onerror=alert(1)>{{script}}"
    page = render_graph([hostile], [[0.0]], title=hostile, lang='"><img>')
    assert "<img" not in page
    assert data_of(page)["title"] == data_of(page)["docs"][0]["words"][0] == hostile


def test_long_texts_are_cut_into_parts() -> None:
    text = WordGraphs(["word"] * 12, [edges_from_dense(numpy.zeros((12, 12)))])
    assert [len(doc["words"]) for doc in data_of(render_page([text], names=[NAME], max_words=5))["docs"]] == [4, 4, 4]


def test_a_page_of_sixty_words_and_thirty_graphs_stays_small() -> None:
    rng = numpy.random.default_rng(0)
    graphs = rng.random((30, 60, 60)) ** 8 * numpy.tri(60, k=-1)
    graphs /= graphs.sum(axis=2, keepdims=True).clip(1e-9)
    assert len(render_graph([f"word{place}" for place in range(60)], graphs)) < 250_000


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G033\] There is nothing to show"):
        render_page([], names=[NAME])


def test_a_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G032\] There are 2 graph names for 1 graphs"):
        render_graph(WORDS, GRAPH, labels=["a", "b"])


@pytest.mark.parametrize("min_weight", [0, 1.5, -1])
def test_a_first_weight_off_the_slider_is_refused(min_weight: float) -> None:
    with pytest.raises(ValueError, match=r"\[G034\] The smallest weight to draw must lie between 0.01 and 1"):
        render_graph(WORDS, GRAPH, min_weight=min_weight)


def test_no_source_per_word_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[G038\] The number of sources per word must be at least 1"):
        render_graph(WORDS, GRAPH, top_k=0)
