"""Words and graphs as the small JSON that the page draws.

Weights become whole thousandths and only those above a floor are kept: a page about 60 words and 25 graphs stays
near 100 kB. Whitespace tokens have no relations and are left out; a long text is cut into parts one can look at.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Sequence

import numpy

from ..errors import Errors
from ..graphs import RelationalGraph
from .templates import one_line

FLOOR = 0.01  # the step of the page's slider: weaker relations could not be told from nothing
SCALE = 1000  # weights are stored as whole thousandths
MAX_WORDS = 250  # words of one picture; a longer text is shown in parts
_TOLERANCE = 1e-3  # half-precision graphs may exceed 1 by rounding


class Edges(NamedTuple):
    """One graph as compressed rows: the sources of receiver i stand at `rows[i]:rows[i + 1]`.

    rows (numpy.ndarray): Where each receiver's sources start. Shape: (words + 1,).
    sources (numpy.ndarray): Position of each source among the words. Shape: (relations,).
    weights (numpy.ndarray): Weight of each relation, 0-1. Shape: (relations,).
    """

    rows: numpy.ndarray
    sources: numpy.ndarray
    weights: numpy.ndarray


@dataclass(frozen=True)
class GraphName:
    """How the page calls a graph.

    id (str): Stands in the page's address, e.g. "left-1-3".
    label (str): Stands in the menu, e.g. "Looks back · layer 1 · head 3".
    group (str): Graphs of one group stand in one row of small pictures, e.g. "Looks back · layer 1".
    """

    id: str
    label: str
    group: str


@dataclass(frozen=True)
class WordGraphs:
    """One text: its words and the graphs over them.

    words (List[str]): Any strings.
    graphs (List[Edges]): In the order of the page's graph names.
    name (str): Stands on the button that chooses the text. Empty: its words.
    note (str): Stands below the picture.
    """

    words: List[str]
    graphs: List[Edges]
    name: str = ""
    note: str = ""

    @classmethod
    def from_relational(cls, words: Sequence[str], graph: RelationalGraph, *, name: str = "") -> "WordGraphs":
        """All graphs that a `RelationalGraph` holds, the mixed one first.

        words (Sequence[str]): One for each of its tokens; white space is left out by the page.
        """
        return cls(list(words), [Edges(*graph.csr(graph=which)) for which in graph.names], name=name)


def edges_from_dense(graph: Any, *, floor: float = FLOOR) -> Edges:
    """Compress a square array.

    graph (Any): Weights. Shape: (receiver, source).
    floor (float): Weaker relations are left out. 0-1.
    RETURNS (Edges): The rest, sources in reading order.
    RAISES: G030 if the array is not square.
    """
    dense = numpy.asarray(graph, dtype="float32")
    if dense.ndim != 2 or dense.shape[0] != dense.shape[1]:
        raise ValueError(Errors.G030.format(expected="(words, words)", found=dense.shape))
    is_kept = ~(dense < floor) & (dense != 0)  # "not below" keeps NaN, so that `checked` can name it
    receivers, sources = numpy.nonzero(is_kept)
    rows = numpy.searchsorted(receivers, numpy.arange(len(dense) + 1))
    return Edges(rows, sources, dense[receivers, sources])


def checked(edges: Edges, *, n_words: int) -> Edges:
    """Refuse a graph that does not fit its words.

    RAISES: G030 if the number of rows is not the number of words or a source is no word; G031 if a weight is not
        between 0 and 1.
    """
    rows, sources, weights = (numpy.asarray(values) for values in edges)
    if len(rows) != n_words + 1 or (len(sources) and not 0 <= sources.min() <= sources.max() < n_words):
        raise ValueError(Errors.G030.format(expected=f"({n_words}, {n_words})", found=(len(rows) - 1, len(rows) - 1)))
    is_weight = (weights >= 0) & (weights <= 1 + _TOLERANCE)
    if not is_weight.all():
        raise ValueError(Errors.G031.format(weight=weights[~is_weight][0]))
    return Edges(rows, sources, weights)


def select_words(edges: Edges, keep: numpy.ndarray) -> Edges:
    """The same graph over some of its words, which are counted anew.

    edges (Edges): The whole graph.
    keep (numpy.ndarray): Which words stay. Boolean, shape: (words,).
    RETURNS (Edges): Relations whose receiver and source both stay.
    """
    receivers = numpy.repeat(numpy.arange(len(keep)), numpy.diff(edges.rows))
    position = numpy.cumsum(keep) - 1
    stays = keep[receivers] & keep[edges.sources]
    rows = numpy.searchsorted(position[receivers[stays]], numpy.arange(int(keep.sum()) + 1))
    return Edges(rows, position[edges.sources[stays]], edges.weights[stays])


def without_whitespace(text: WordGraphs) -> WordGraphs:
    """Leave out words that are nothing but white space."""
    keep = numpy.array([not word.isspace() and word != "" for word in text.words], dtype=bool)
    return text if keep.all() else _only(text, keep, name=text.name, note=text.note)


def in_parts(text: WordGraphs, *, max_words: int = MAX_WORDS) -> List[WordGraphs]:
    """Cut a long text into parts of equal length. Relations between parts are lost, which each part's note says; it is
    called by its words.

    text (WordGraphs): Any length.
    max_words (int): Most words of a part. >= 1.
    RETURNS (List[WordGraphs]): The text itself if it is short enough.
    """
    n_words = len(text.words)
    if n_words <= max_words:
        return [text]
    bounds = numpy.linspace(0, n_words, -(-n_words // max_words) + 1).astype(int)
    parts = []
    for start, stop in zip(bounds[:-1], bounds[1:]):
        note = f"Words {start + 1}–{stop} of {n_words}. Relations with words of other parts are not drawn. {text.note}"
        index = numpy.arange(n_words)
        parts.append(_only(text, (index >= start) & (index < stop), name="", note=note.strip()))
    return parts


def _only(text: WordGraphs, keep: numpy.ndarray, *, name: str, note: str) -> WordGraphs:
    words = [word for word, stays in zip(text.words, keep) if stays]
    return WordGraphs(words, [select_words(edges, keep) for edges in text.graphs], name=name, note=note)


def page_data(texts: Sequence[WordGraphs], names: Sequence[GraphName], **settings: Any) -> Dict[str, Any]:
    """Everything the page shows, as plain lists and numbers.

    texts (Sequence[WordGraphs]): Each with one graph for each name.
    names (Sequence[GraphName]): The graphs.
    settings (Any): Further entries: title, subtitle, threshold, sources.
    """
    return {
        **settings,
        "floor": round(FLOOR * SCALE),
        "graphs": [{"id": name.id, "label": name.label, "group": name.group} for name in names],
        "docs": [
            {
                "name": text.name,
                "note": text.note,
                "words": [one_line(word) for word in text.words],
                "graphs": [_packed(checked(edges, n_words=len(text.words))) for edges in text.graphs],
            }
            for text in texts
        ],
    }


def _packed(edges: Edges) -> Dict[str, List[int]]:
    """Whole thousandths; relations that round to less than the floor go."""
    weights = numpy.minimum(numpy.rint(edges.weights * SCALE), SCALE).astype(int)
    stays = weights >= round(FLOOR * SCALE)
    kept_before = numpy.concatenate([[0], numpy.cumsum(stays)])
    return {
        "rows": kept_before[edges.rows].tolist(),
        "sources": edges.sources[stays].tolist(),
        "weights": weights[stays].tolist(),
    }
