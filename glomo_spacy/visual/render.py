"""A page that shows which words relate to which: arcs, heat map, small pictures of all graphs. Arrays in, HTML out."""

from typing import Any, List, Mapping, Optional, Sequence, Union

import numpy

from ..errors import Errors
from .graph_data import (
    MAX_WORDS,
    SCALE,
    Edges,
    GraphName,
    WordGraphs,
    edges_from_dense,
    in_parts,
    page_data,
    to_json,
    without_whitespace,
)
from .templates import fill_page

TITLE = "Relational graphs"
SUBTITLE = "Which words relate to which, learned from raw text alone."
FOOTER = "Made with glomo-spacy. This page is complete in itself: it loads nothing and sends nothing."
DIRECTIONS = {"forward": "Looks back", "backward": "Looks ahead"}  # the predictor's direction: where its sources stand


def render_graph(
    words: Sequence[str],
    graphs: Union[numpy.ndarray, Mapping[str, Any]],
    *,
    labels: Optional[Sequence[str]] = None,
    title: str = TITLE,
    min_weight: Optional[float] = None,
    lang: str = "en",
) -> str:
    """A page about one text.

    words (Sequence[str]): The words, in reading order. Any strings: they stay text.
    graphs (Union[numpy.ndarray, Mapping[str, Any]]): Weights 0-1 by axes receiver, source. One array, shape
        (receiver, source); several, shape (graphs, receiver, source); or arrays by label.
    labels (Optional[Sequence[str]]): What each graph is called. None: "Graph 1", "Graph 2", …
    title (str): Heading of the page.
    min_weight (Optional[float]): Relations from this weight on are drawn at first. 0.01-1. None: as many as make a
        calm picture, about three for every two words.
    lang (str): Language code of the words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: G030, G031 if the graphs do not fit the words; G032 for a wrong number of labels.
    """
    if isinstance(graphs, Mapping):
        labels, graphs = list(graphs), list(graphs.values())
    elif numpy.ndim(graphs) == 2:
        graphs = [graphs]
    labels = [f"Graph {number}" for number in range(1, len(graphs) + 1)] if labels is None else labels
    if len(labels) != len(graphs):
        raise ValueError(Errors.G032.format(found=len(labels), expected=len(graphs)))
    names = [GraphName(id=f"graph-{number}", label=label, group="Graphs") for number, label in enumerate(labels, start=1)]
    text = WordGraphs(list(words), [edges_from_dense(graph) for graph in graphs])
    return render_page([text], names=names, title=title, min_weight=min_weight, lang=lang)


def render_page(
    texts: Sequence[WordGraphs],
    *,
    names: Sequence[GraphName],
    title: str = TITLE,
    subtitle: str = SUBTITLE,
    min_weight: Optional[float] = None,
    lang: str = "en",
    max_words: int = MAX_WORDS,
) -> str:
    """A page about one or several texts, of which the reader chooses one at a time.

    texts (Sequence[WordGraphs]): At least one, each with a graph for every name. None may be empty of graphs, any may
        be empty of words.
    names (Sequence[GraphName]): What the graphs are called; the first is shown first.
    title (str), subtitle (str): Heading of the page.
    min_weight (Optional[float]): As in `render_graph`.
    lang (str): Language code of the words.
    max_words (int): A longer text is shown in parts of at most so many words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: G030, G031 if graphs do not fit their words; G032 for a wrong number of graphs; G033 without any text or
        graph; G034 for a weight outside 0.01-1.
    """
    if not texts or not names:
        raise ValueError(Errors.G033)
    for text in texts:
        if len(text.graphs) != len(names):
            raise ValueError(Errors.G032.format(found=len(names), expected=len(text.graphs)))
    if min_weight is not None and not 0.01 <= min_weight <= 1:
        raise ValueError(Errors.G034.format(found=min_weight))
    parts: List[WordGraphs] = []
    for text in texts:
        parts.extend(in_parts(without_whitespace(text), max_words=max_words))
    threshold = None if min_weight is None else round(min_weight * 100) * (SCALE // 100)
    data = page_data(parts, names, title=title, subtitle=subtitle, threshold=threshold)
    return fill_page(title=title, lang=lang, footer=FOOTER, data=to_json(data))


def graph_names(n_layers: int, n_heads: int) -> List[GraphName]:
    """Names of the mixed graph and of all graphs behind it, in the order of the model: forward layers, then backward.

    n_layers (int): Layers per direction.
    n_heads (int): Heads per layer.
    RETURNS (List[GraphName]): 1 + 2 * n_layers * n_heads names.
    """
    names = [GraphName(id="mixed", label="Mixed: the mean of all", group="Mixed")]
    for direction, words in DIRECTIONS.items():
        for layer in range(1, n_layers + 1):
            group = f"{words} · layer {layer}"
            for head in range(1, n_heads + 1):
                names.append(GraphName(id=f"{direction}-{layer}-{head}", label=f"{group} · head {head}", group=group))
    return names


