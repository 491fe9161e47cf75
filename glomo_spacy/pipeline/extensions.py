"""Every attribute the components add to spaCy's objects: names, what is stored, and how it is read back.

What rests on a Doc is plain numpy arrays in `doc.user_data`, which `Doc.to_bytes`, `DocBin(store_user_data=True)` and
worker processes carry along; attributes are getters that wrap them. Importing `glomo_spacy.pipeline` installs the
getters, also in a process that only reads.
"""

from typing import Any, List, Optional, Tuple

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc, Token

from ..errors import Errors
from ..graphs import RelationalGraph

GLOMO_GRAPH = "glomo_graph"
GLOMO_RELATIONS = "glomo_relations"
ELMO_LAYERS = "elmo_layers"

# The form spaCy gives its own keys: copies of a part of the Doc then leave these behind instead of misplacing them.
_GRAPH_KEY: Any = ("._.", GLOMO_GRAPH, None, None)
_LAYERS_KEY: Any = ("._.", ELMO_LAYERS, None, None)


def install_extensions() -> None:
    """Install every attribute; installing again changes nothing."""
    Doc.set_extension(GLOMO_GRAPH, getter=get_graph, setter=set_graph, force=True)
    Token.set_extension(GLOMO_RELATIONS, getter=get_relations, force=True)
    Doc.set_extension(ELMO_LAYERS, getter=get_layers, setter=set_layers, force=True)


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


def _check(is_same: bool, *, found: int, doc: Doc) -> None:
    if not is_same:
        raise ValueError(Errors.G010.format(found=found, expected=len(doc)))
