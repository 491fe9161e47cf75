"""Every attribute the components add to spaCy's objects: names, what is stored, and how it is read back.

What rests on a Doc is plain numpy arrays in `doc.user_data`, which `Doc.to_bytes`, `DocBin(store_user_data=True)` and
worker processes carry along; attributes are getters that wrap them. Importing `glomo_spacy.pipeline` installs the
getters, also in a process that only reads.
"""

import math
from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc, Span, Token

from ..architectures.mogrifier_network import Surprisal
from ..errors import Errors
from ..graphs import RelationalGraph

GLOMO_GRAPH = "glomo_graph"
GLOMO_RELATIONS = "glomo_relations"
ELMO_LAYERS = "elmo_layers"
SURPRISAL = "surprisal"
IS_LM_UNKNOWN = "is_lm_unknown"
END_SURPRISAL = "end_surprisal"
PERPLEXITY = "perplexity"
MOGRIFIER_STATES = "mogrifier_states"
QUESTION = "question"
ANSWER_SCORE = "answer_score"
ANSWERS = "answers"  # the group in doc.spans

# The form spaCy gives its own keys: copies of a part of the Doc then leave these behind instead of misplacing them.
_GRAPH_KEY: Any = ("._.", GLOMO_GRAPH, None, None)
_LAYERS_KEY: Any = ("._.", ELMO_LAYERS, None, None)
_SURPRISAL_KEY: Any = ("._.", SURPRISAL, None, None)
_QUESTION_KEY: Any = ("._.", QUESTION, None, None)


def install_extensions() -> None:
    """Install every attribute; installing again changes nothing."""
    Doc.set_extension(GLOMO_GRAPH, getter=get_graph, setter=set_graph, force=True)
    Token.set_extension(GLOMO_RELATIONS, getter=get_relations, force=True)
    Doc.set_extension(ELMO_LAYERS, getter=get_layers, setter=set_layers, force=True)
    Token.set_extension(SURPRISAL, getter=get_surprisal, force=True)
    Token.set_extension(IS_LM_UNKNOWN, getter=get_is_unknown, force=True)
    Span.set_extension(END_SURPRISAL, getter=get_end_surprisal, force=True)
    Doc.set_extension(PERPLEXITY, getter=get_perplexity, force=True)
    Doc.set_extension(MOGRIFIER_STATES, getter=get_states, force=True)
    Doc.set_extension(QUESTION, getter=get_question, setter=set_question, force=True)
    Span.set_extension(ANSWER_SCORE, getter=get_answer_score, force=True)


def set_graph(doc: Doc, graph: Optional[RelationalGraph]) -> None:
    """Store a graph on its Doc: `doc._.glomo_graph = graph`; None removes it.

    RAISES: ValueError G010 if the graph is of another number of tokens.
    """
    if graph is None:
        doc.user_data.pop(_GRAPH_KEY, None)
        return
    _check(graph.n_tokens == len(doc), found=graph.n_tokens, doc=doc)
    doc.user_data[_GRAPH_KEY] = {**graph.to_arrays(), "starts": doc.to_array("IDX").astype(np.int32)}


def get_graph(doc: Doc) -> Optional[RelationalGraph]:
    """The graph of a Doc: `doc._.glomo_graph`; None if glomo_graph did not run.

    RAISES: ValueError G010 if tokens were merged or split since.
    """
    stored = doc.user_data.get(_GRAPH_KEY)
    if stored is None:
        return None
    is_same = stored["n_tokens"] == len(doc) and np.array_equal(stored["starts"], doc.to_array("IDX"))
    _check(is_same, found=stored["n_tokens"], doc=doc)
    return RelationalGraph.from_arrays(stored)


def get_relations(token: Token) -> List[Tuple[Token, float]]:
    """Whom a token attends to, strongest first: `token._.glomo_relations`; empty if glomo_graph did not run.

    RETURNS (List[Tuple[Token, float]]): Sources and weights of the mixed graph.
    RAISES: ValueError G010 if tokens were merged or split since.
    """
    doc = token.doc
    stored = doc.user_data.get(_GRAPH_KEY)
    if stored is None:
        return []
    # Only this row is checked and read: asking every token of a long text stays linear.
    _check(stored["n_tokens"] == len(doc), found=stored["n_tokens"], doc=doc)
    sources, weights = RelationalGraph.from_arrays(stored).row(token.i)
    related = [doc[position] for position in sources.tolist()]
    is_same = all(stored["starts"][other.i] == other.idx for other in (token, *related))
    _check(is_same, found=stored["n_tokens"], doc=doc)
    return list(zip(related, weights.tolist()))


def set_layers(doc: Doc, layers: Optional[npt.NDArray[np.float32]]) -> None:
    """Store the layers of a biLM on their Doc: `doc._.elmo_layers = layers`; None removes them.

    layers (Optional[ndarray]): Shape: (layers, tokens, width).
    RAISES: ValueError G164 if they are of another number of tokens.
    """
    if layers is None:
        doc.user_data.pop(_LAYERS_KEY, None)
        return
    if layers.shape[1] != len(doc):
        raise ValueError(Errors.G164.format(found=layers.shape[1], expected=len(doc)))
    doc.user_data[_LAYERS_KEY] = {"layers": layers, "starts": doc.to_array("IDX").astype(np.int32)}


def get_layers(doc: Doc) -> Optional[npt.NDArray[np.float32]]:
    """The layers of a Doc: `doc._.elmo_layers`; None if elmo did not run or does not keep them.

    RETURNS (Optional[ndarray]): Token vectors first; rows of whitespace are 0. Shape: (layers, tokens, width).
    RAISES: ValueError G164 if tokens were merged or split since.
    """
    stored = doc.user_data.get(_LAYERS_KEY)
    if stored is None:
        return None
    if not np.array_equal(stored["starts"], doc.to_array("IDX")):
        raise ValueError(Errors.G164.format(found=len(stored["starts"]), expected=len(doc)))
    layers: npt.NDArray[np.float32] = stored["layers"]
    return layers


def set_surprisal(doc: Doc, surprisal: Optional[Surprisal]) -> None:
    """Store what a language model says of a Doc; None removes it.

    RAISES: ValueError G063 if it is of another number of tokens.
    """
    if surprisal is None:
        doc.user_data.pop(_SURPRISAL_KEY, None)
        return
    if len(surprisal.bits) != len(doc):
        raise ValueError(Errors.G063.format(found=len(surprisal.bits), expected=len(doc)))
    doc.user_data[_SURPRISAL_KEY] = {**surprisal._asdict(), "starts": doc.to_array("IDX").astype(np.int32)}


def get_surprisal(token: Token) -> Optional[float]:
    """What a token costs after all that stands before it: `token._.surprisal`, in bits.

    RETURNS (Optional[float]): -log2 of its probability; 0.0 for whitespace; None if mogrifier_lm did not run.
    RAISES: ValueError G063 if tokens were merged or split since.
    """
    stored = _said_of(token)
    return None if stored is None else float(stored["bits"][token.i])


def get_is_unknown(token: Token) -> Optional[bool]:
    """Whether the language model's vocabulary lacks a token: `token._.is_lm_unknown`; None if mogrifier_lm did not run.

    RAISES: ValueError G063 if tokens were merged or split since.
    """
    stored = _said_of(token)
    return None if stored is None else bool(stored["is_unknown"][token.i])


def get_end_surprisal(span: Span) -> Optional[float]:
    """What the ends of sentences within a span cost: `sentence._.end_surprisal`, in bits, part of no token's surprisal.

    RETURNS (Optional[float]): 0.0 if no sentence ends there; None if mogrifier_lm did not run.
    RAISES: ValueError G063 if tokens were merged or split since.
    """
    stored = _said_of(span)
    return None if stored is None else float(stored["end_bits"][span.start : span.end].sum(dtype=np.float64))


def get_perplexity(doc: Doc) -> Optional[float]:
    """2 to the power of the mean surprisal of all tokens but whitespace: `doc._.perplexity`.

    RETURNS (Optional[float]): From 1 up, infinite beyond the range of a float; not a number if there are no such
        tokens; None if mogrifier_lm did not run.
    RAISES: ValueError G063 if tokens were merged or split since.
    """
    stored = _said_of(doc)
    if stored is None:
        return None
    n_words = int((doc.to_array("IS_SPACE") == 0).sum())
    mean = float(stored["bits"].sum(dtype=np.float64)) / n_words if n_words else math.nan
    return math.inf if mean >= 1024 else 2.0**mean


def get_states(doc: Doc) -> Optional[npt.NDArray[np.float32]]:
    """The language model's output after each token: `doc._.mogrifier_states`.

    RETURNS (Optional[ndarray]): Rows of whitespace are 0. Shape: (tokens, width). None if mogrifier_lm did not run or
        does not keep them.
    RAISES: ValueError G063 if tokens were merged or split since.
    """
    stored = _said_of(doc)
    states: Optional[npt.NDArray[np.float32]] = None if stored is None else stored["states"]
    return states


def set_question(doc: Doc, question: Optional[str]) -> None:
    """Store what is asked about a Doc: `doc._.question = question`; None removes it.

    RAISES: ValueError G090 for anything but a text with words.
    """
    if question is None:
        doc.user_data.pop(_QUESTION_KEY, None)
        return
    if not isinstance(question, str) or not question.strip():
        raise ValueError(Errors.G090.format(question=question))
    doc.user_data[_QUESTION_KEY] = question


def get_question(doc: Doc) -> Optional[str]:
    """What is asked about a Doc: `doc._.question`; None if nothing is."""
    question: Optional[str] = doc.user_data.get(_QUESTION_KEY)
    return question


def get_answer_score(span: Span) -> Optional[float]:
    """The probability of a span to be the answer, as extractive_qa found it: `span._.answer_score`.

    RETURNS (Optional[float]): 0-1; None for a span that is not in `doc.spans["answers"]`.
    """
    answers = span.doc.spans.get(ANSWERS, ())
    scores = getattr(answers, "attrs", {}).get("scores", ())
    places = (score for answer, score in zip(answers, scores) if (answer.start, answer.end) == (span.start, span.end))
    return next(places, None)


def _said_of(part: Union[Doc, Span, Token]) -> Optional[Dict[str, Any]]:
    """What the language model said of a Doc, if it was of these very tokens."""
    doc = part.doc
    stored: Optional[Dict[str, Any]] = doc.user_data.get(_SURPRISAL_KEY)
    if stored is None:
        return None
    starts = stored["starts"]
    is_same = len(starts) == len(doc)
    if isinstance(part, Doc):
        is_same = is_same and np.array_equal(starts, doc.to_array("IDX"))
    else:  # only this part is compared: asking every token of a long text stays linear
        tokens = [part] if isinstance(part, Token) else list(part)
        is_same = is_same and all(starts[token.i] == token.idx for token in tokens)
    if not is_same:
        raise ValueError(Errors.G063.format(found=len(starts), expected=len(doc)))
    return stored


def _check(is_same: bool, *, found: int, doc: Doc) -> None:
    if not is_same:
        raise ValueError(Errors.G010.format(found=found, expected=len(doc)))
