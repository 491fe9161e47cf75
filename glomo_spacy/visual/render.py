"""A page that shows which words relate to which: arcs, heat map, small pictures of all graphs. Arrays in, HTML out."""

from typing import Any, List, Mapping, Optional, Sequence, Tuple, Union

import numpy

from ..errors import Errors
from ..graphs import RelationalGraph
from .graph_data import (
    MAX_WORDS,
    SCALE,
    GraphName,
    WordGraphs,
    edges_from_dense,
    in_parts,
    page_data,
    without_whitespace,
)
from .templates import GRAPH_PAGE, fill_page

TITLE = "Relational graphs"
SUBTITLE = "Which words relate to which, learned from raw text alone."
LOOKS = {"left": "Looks back", "right": "Looks ahead"}  # where the sources of a graph stand


def render_graph(
    words: Sequence[str],
    graphs: Union[numpy.ndarray, Mapping[str, Any]],
    *,
    labels: Optional[Sequence[str]] = None,
    title: str = TITLE,
    min_weight: Optional[float] = None,
    top_k: Optional[int] = 2,
    lang: str = "en",
) -> str:
    """A page about one text.

    words (Sequence[str]): The words, in reading order. Any strings: they stay text.
    graphs (Union[numpy.ndarray, Mapping[str, Any]]): Weights 0-1 by axes receiver, source. One array, shape
        (receiver, source); several, shape (graphs, receiver, source); or arrays by label.
    labels (Optional[Sequence[str]]): What each graph is called. None: "Graph 1", "Graph 2", …
    title (str): Heading of the page.
    min_weight (Optional[float]): Relations from this weight on are drawn at first. 0.01-1. None: as many as make a
        calm picture: at most two for each word.
    top_k (Optional[int]): Sources per receiver that are drawn at first, the strongest. >= 1. None: all.
    lang (str): Language code of the words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: G030, G031 if the graphs do not fit the words; G032 for a wrong number of labels; G034 for a weight outside
        0.01-1; G038 for a `top_k` below 1.
    """
    if isinstance(graphs, Mapping):
        labels, arrays = list(graphs), list(graphs.values())
    else:
        arrays = [graphs] if numpy.ndim(graphs) == 2 else list(graphs)
    if labels is None:
        labels = [f"Graph {number}" for number in range(1, len(arrays) + 1)]
    names = [GraphName(f"graph-{number}", label=label, group="Graphs") for number, label in enumerate(labels, start=1)]
    text = WordGraphs(list(words), [edges_from_dense(array) for array in arrays])
    return render_page([text], names=names, title=title, min_weight=min_weight, top_k=top_k, lang=lang)


def render_page(
    texts: Sequence[WordGraphs],
    *,
    names: Sequence[GraphName],
    title: str = TITLE,
    subtitle: str = SUBTITLE,
    min_weight: Optional[float] = None,
    top_k: Optional[int] = 2,
    lang: str = "en",
    max_words: int = MAX_WORDS,
) -> str:
    """A page about one or several texts, of which the reader chooses one at a time.

    texts (Sequence[WordGraphs]): At least one, each with a graph for every name. None may be empty of graphs, any may
        be empty of words.
    names (Sequence[GraphName]): What the graphs are called; the first is shown first.
    title (str), subtitle (str): Heading of the page.
    min_weight (Optional[float]), top_k (Optional[int]): What is drawn at first, as in `render_graph`.
    lang (str): Language code of the words.
    max_words (int): A longer text is shown in parts of at most so many words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: G030, G031 if graphs do not fit their words; G032 for a wrong number of graphs; G033 without any text or
        graph; G034 for a weight outside 0.01-1; G038 for a `top_k` below 1.
    """
    if not texts or not names:
        raise ValueError(Errors.G033)
    for text in texts:
        if len(text.graphs) != len(names):
            raise ValueError(Errors.G032.format(found=len(names), expected=len(text.graphs)))
    if min_weight is not None and not 0.01 <= min_weight <= 1:
        raise ValueError(Errors.G034.format(found=min_weight))
    if top_k is not None and top_k < 1:
        raise ValueError(Errors.G038.format(found=top_k))
    parts: List[WordGraphs] = []
    for text in texts:
        parts.extend(in_parts(without_whitespace(text), max_words=max_words))
    threshold = None if min_weight is None else round(min_weight * 100) * (SCALE // 100)
    data = page_data(parts, names, title=title, subtitle=subtitle, threshold=threshold, sources=top_k)
    return fill_page(GRAPH_PAGE, title=title, lang=lang, data=data)


def graph_names(graph: RelationalGraph) -> List[GraphName]:
    """What the page calls the graphs of a `RelationalGraph`, in their order: mixed, left layers, right layers.

    People count layers and heads from 1: the page's "left-1-3" is `graph=("left", 0, 2)` in Python.
    """
    return [_graph_name(name) for name in graph.names]


def _graph_name(name: Union[str, Tuple[str, int, int]]) -> GraphName:
    if isinstance(name, str):
        return GraphName(id=name, label="Mixed: the mean of all", group="Mixed")
    direction, layer, head = name
    group = f"{LOOKS[direction]} · layer {layer + 1}"
    return GraphName(id=f"{direction}-{layer + 1}-{head + 1}", label=f"{group} · head {head + 1}", group=group)
