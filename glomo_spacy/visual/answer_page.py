"""A page that shows an answer in its text and what speaks for it. Arrays and text in, HTML out."""

from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy
import numpy.typing as npt

from ..errors import Errors
from .templates import ANSWER_PAGE, fill_page, one_line

TITLE = "Answers in their text"
SUBTITLE = "Where a reader begins and ends its answer, and which words the answer's words took in."
N_RELATIONS = 8  # strongest sources, and strongest receivers, that are kept of each word
_TOLERANCE = 1e-3  # half precision may exceed 1 by rounding

Floats = npt.NDArray[numpy.float32]


@dataclass(frozen=True)
class Answer:
    """A stretch of words.

    start (int), end (int): Its first word, and the first word after it, counted from 0.
    score (float): Its probability, 0-1.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class AnswerGraph:
    """One mixed graph over the words and how it was mixed.

    label (str): What it is called, e.g. "Looks back · mix 1".
    weights (Any): What each word took in from each. >= 0. Shape: (receiver, source).
    mixture (Any): Share of each candidate graph in it, 0-1: one row, shape (candidates,), or one for each receiver,
        shape (words, candidates). Empty: it is not shown.
    """

    label: str
    weights: Any
    mixture: Any = ()


@dataclass(frozen=True)
class AnswerExplanation:
    """A question, a text, its answers and what speaks for them.

    question (str): Any text.
    words (Sequence[str]): The tokens of the text, or of the window of a long text that the answers stand in. White
        space is shown as such and can be no answer.
    answers (Sequence[Answer]): Best first. Empty: none was found.
    starts (Sequence[float]), ends (Sequence[float]): Probability of each word to begin and to end the answer, 0-1.
    spaces (Sequence[bool]): Whether a blank follows a word. Empty: it follows each.
    graphs (Sequence[AnswerGraph]): Empty for a reader without graphs.
    candidates (Sequence[str]): What the candidate graphs are called, see `candidate_names`. Empty: they are numbered.
    name (str): Stands on the button that chooses the text. Empty: the question.
    note (str): Stands below the text.
    RAISES: ValueError G950 for another number of values than of words; G951 for an answer outside the words; G953 for a
        probability or share that is none, G954 for a weight that is none.
    """

    question: str
    words: Sequence[str]
    answers: Sequence[Answer]
    starts: Sequence[float]
    ends: Sequence[float]
    spaces: Sequence[bool] = ()
    graphs: Sequence[AnswerGraph] = ()
    candidates: Sequence[str] = ()
    name: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        n_words = len(self.words)
        _check_size("starts", len(self.starts), n_words)
        _check_size("ends", len(self.ends), n_words)
        _check_size("spaces", len(self.spaces) or n_words, n_words)
        for answer in self.answers:
            if not 0 <= answer.start < answer.end <= n_words:
                raise ValueError(Errors.G951.format(start=answer.start, end=answer.end, n_words=n_words))
        for name in ("starts", "ends"):
            _check_shares(name, getattr(self, name))
        _check_shares("scores", [answer.score for answer in self.answers])
        for graph in self.graphs:
            self._check_graph(graph)

    def _check_graph(self, graph: AnswerGraph) -> None:
        n_words = len(self.words)
        weights, mixture = numpy.asarray(graph.weights), numpy.asarray(graph.mixture)
        _check_size(f"graph {graph.label!r}", weights.shape, (n_words, n_words))
        if mixture.size:
            n_candidates = len(self.candidates) or mixture.shape[-1]
            expected = (n_candidates,) if mixture.ndim == 1 else (n_words, n_candidates)
            _check_size(f"mixture of {graph.label!r}", mixture.shape, expected)
        _check_shares(f"mixture of {graph.label!r}", mixture)
        if weights.size and not (numpy.isfinite(weights).all() and weights.min() >= 0):
            raise ValueError(Errors.G954.format(label=graph.label))


def candidate_names(*, n_layers: int, n_heads: int, has_products: bool) -> List[str]:
    """What the candidate graphs of one direction are called, in the order in which readers mix them.

    n_layers (int), n_heads (int): Of the graphs. >= 1.
    has_products (bool): Whether each layer from the second on is followed by its product with all below it.
    RETURNS (List[str]): Layers and heads count from 1, e.g. "layers 1-2, head 3" for a path through both layers.
    """
    entries: List[str] = []
    for layer in range(1, n_layers + 1):
        entries.append(f"layer {layer}")
        if has_products and layer > 1:
            entries.append(f"layers 1-{layer}")
    return [f"{entry}, head {head}" for entry in entries for head in range(1, n_heads + 1)]


def render_answer_page(
    explanations: Sequence[AnswerExplanation], *, title: str = TITLE, subtitle: str = SUBTITLE, lang: str = "en"
) -> str:
    """A page with one or several questions or windows, of which one is shown at a time.

    explanations (Sequence[AnswerExplanation]): At least one.
    title (str), subtitle (str): Heading of the page.
    lang (str): Language code of the words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: ValueError G952 without any explanation.
    """
    if not explanations:
        raise ValueError(Errors.G952)
    items = [_item_data(explanation) for explanation in explanations]
    return fill_page(ANSWER_PAGE, title=title, lang=lang, data={"title": title, "subtitle": subtitle, "items": items})


def strongest_relations(weights: Any, *, n_relations: int = N_RELATIONS) -> List[Tuple[int, int, float]]:
    """The relations that matter to somebody: among the strongest of their receiver, or of their source.

    weights (Any): Shape: (receiver, source).
    n_relations (int): So many of each word as receiver, and as source. >= 1.
    RETURNS (List[Tuple[int, int, float]]): Receiver, source, weight, strongest first; of equal ones in text order.
    """
    dense: Floats = numpy.asarray(weights, dtype=numpy.float32)
    n_words = len(dense)
    kept = min(n_relations, n_words)
    is_strong = numpy.zeros(dense.shape, dtype=bool)
    places = numpy.arange(n_words)
    is_strong[places[:, None], numpy.argsort(-dense, axis=1, kind="stable")[:, :kept]] = True
    is_strong[numpy.argsort(-dense, axis=0, kind="stable")[:kept], places[None]] = True
    receivers, sources = numpy.nonzero(is_strong & (dense > 0))
    found = dense[receivers, sources]
    order = numpy.argsort(-found, kind="stable")
    return [(int(receivers[at]), int(sources[at]), float(found[at])) for at in order]


def _item_data(item: AnswerExplanation) -> Dict[str, Any]:
    """All that the page shows of one explanation, as plain lists."""
    return {
        "name": one_line(item.name or item.question),
        "question": one_line(item.question),
        "note": item.note,
        "words": [word if word.isspace() else one_line(word) for word in item.words],
        "spaces": [int(is_space) for is_space in item.spaces or [True] * len(item.words)],
        "starts": _rounded(item.starts),
        "ends": _rounded(item.ends),
        "answers": [[answer.start, answer.end, round(float(answer.score), 4)] for answer in item.answers],
        "candidates": list(item.candidates) or _numbered(item.graphs),
        "graphs": [_graph_data(graph) for graph in item.graphs],
    }


def _graph_data(graph: AnswerGraph) -> Dict[str, Any]:
    relations = [
        [receiver, source, float(f"{weight:.3g}")] for receiver, source, weight in strongest_relations(graph.weights)
    ]
    mixture = numpy.atleast_2d(numpy.asarray(graph.mixture, dtype=numpy.float32))  # one row holds for every word
    return {
        "label": graph.label,
        "relations": relations,
        "mixture": [_rounded(row, n_decimals=3) for row in mixture] if mixture.size else [],
    }


def _numbered(graphs: Sequence[AnswerGraph]) -> List[str]:
    n_candidates = max((numpy.shape(graph.mixture)[-1] for graph in graphs), default=0)
    return [f"graph {number}" for number in range(1, n_candidates + 1)]


def _rounded(values: Any, *, n_decimals: int = 4) -> List[float]:
    return [round(float(value), n_decimals) for value in values]


def _check_size(name: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise ValueError(Errors.G950.format(name=name, expected=expected, found=found))


def _check_shares(name: str, values: Any) -> None:
    shares = numpy.asarray(values, dtype=numpy.float64)
    is_share = (shares >= 0) & (shares <= 1 + _TOLERANCE)  # false for NaN
    if not is_share.all():
        raise ValueError(Errors.G953.format(name=name, value=float(shares[~is_share].flat[0])))
