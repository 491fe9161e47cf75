"""Relational graphs as plain numpy arrays: which word relates to which, and how strongly.

Axes are receiver, source: the row of a token holds the tokens it attends to. Only the strongest sources of each row are
kept, in compressed sparse rows (CSR), strongest first, so that memory grows with the text and not with its square.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from .errors import Errors

MIXED = "mixed"
DIRECTIONS = ("left", "right")

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
GraphName = Union[str, Tuple[str, int, int]]  # "mixed", or direction, layer and head, both counted from 0


class Edge(NamedTuple):
    """`receiver` attends to `source`; positions of tokens."""

    receiver: int
    source: int
    weight: float


class Rows(NamedTuple):
    """Rows of a sparse matrix, strongest source first.

    counts (ndarray): Sources kept per row. Shape: (rows,).
    sources (ndarray): Columns, row after row. Shape: (edges,).
    weights (ndarray): Their weights. Shape: (edges,).
    """

    counts: Ints
    sources: Ints
    weights: Floats


def prune_rows(dense: Floats, *, top_k: Optional[int] = None, min_weight: float = 0.0) -> Rows:
    """Keep the strongest sources of each row.

    dense (ndarray): Weights, non-negative. Shape: (rows, tokens).
    top_k (Optional[int]): Sources kept per row. None: all.
    min_weight (float): Weights must be above this; zeros are never kept.
    RETURNS (Rows): Strongest first; equal weights in the order of the text.
    """
    rows, columns = np.nonzero(dense > max(min_weight, 0.0))
    weights = dense[rows, columns]
    order = np.lexsort((-weights, rows))  # rows are ascending before and after; stable, so equal weights keep order
    columns, weights = columns[order], weights[order]
    counts = np.bincount(rows, minlength=len(dense))
    if top_k is not None:
        rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        columns, weights = columns[rank < top_k], weights[rank < top_k]
        counts = np.minimum(counts, top_k)
    return Rows(counts, columns, weights)


@dataclass(frozen=True, eq=False)
class RelationalGraph:
    """The relational graphs of one text: the mixed graph and, if all were kept, each direction, layer and head.

    n_tokens (int): Tokens of the text.
    row_ends (ndarray): Where each row ends in `sources` and `weights`; it starts where the row before it ends. Rows of
        the mixed graph first, then graph after graph. Shape: (graphs * tokens,).
    sources (ndarray): Positions of the tokens attended to, strongest first. Shape: (edges,).
    weights (ndarray): Their weights. A row of a graph sums to at most 1. Shape: (edges,).
    n_layers, n_heads (int): Layers per direction and heads per layer if all graphs were kept, else 0.
    RAISES: ValueError G013 if the arrays do not fit together.
    """

    n_tokens: int
    row_ends: Ints
    sources: Ints
    weights: Floats
    n_layers: int = 0
    n_heads: int = 0

    def __post_init__(self) -> None:
        n_edges = int(self.row_ends[-1]) if len(self.row_ends) else 0
        if len(self.row_ends) != len(self.names) * self.n_tokens:
            reason = f"{len(self.row_ends)} rows for {len(self.names)} graphs of {self.n_tokens} tokens"
            raise ValueError(Errors.G013.format(reason=reason))
        if not len(self.sources) == len(self.weights) == n_edges:
            reason = f"{len(self.sources)} sources and {len(self.weights)} weights for {n_edges} edges"
            raise ValueError(Errors.G013.format(reason=reason))

    def __repr__(self) -> str:
        return f"RelationalGraph(tokens={self.n_tokens}, graphs={len(self.names)}, edges={len(self.weights)})"

    @property
    def names(self) -> List[GraphName]:
        """What `graph=` accepts: "mixed" and, if all were kept, (direction, layer, head) with layer and head from 0."""
        return [MIXED, *product(DIRECTIONS, range(self.n_layers), range(self.n_heads))]

    @classmethod
    def from_rows(
        cls, graphs: Sequence[Rows], *, n_tokens: int, n_layers: int = 0, n_heads: int = 0
    ) -> "RelationalGraph":
        """Build from the pruned rows of each graph, the mixed one first."""
        return cls(
            n_tokens=n_tokens,
            row_ends=np.cumsum(np.concatenate([rows.counts for rows in graphs]), dtype=np.int64),
            sources=np.concatenate([rows.sources for rows in graphs]).astype(np.int32),
            weights=np.concatenate([rows.weights for rows in graphs]).astype(np.float32),
            n_layers=n_layers,
            n_heads=n_heads,
        )

    @classmethod
    def from_dense(
        cls, weights: npt.ArrayLike, *, top_k: Optional[int] = None, min_weight: float = 0.0
    ) -> "RelationalGraph":
        """Build from a matrix.

        weights (ArrayLike): Non-negative. Shape: (receiver, source).
        top_k, min_weight: As for `prune_rows`.
        """
        dense = np.asarray(weights, dtype=np.float32)
        return cls.from_rows([prune_rows(dense, top_k=top_k, min_weight=min_weight)], n_tokens=len(dense))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "RelationalGraph":
        """Undo `to_arrays`; further entries are ignored."""
        return cls(**{name: arrays[name] for name in cls.__dataclass_fields__})

    def to_arrays(self) -> Dict[str, Any]:
        """Plain numbers and numpy arrays by name, which spaCy can store with a Doc."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def row(self, receiver: int, *, graph: GraphName = MIXED) -> Tuple[Ints, Floats]:
        """The sources of one token and their weights, strongest first.

        receiver (int): Position of the token, from 0.
        graph (GraphName): One of `names`.
        RETURNS (Tuple[ndarray, ndarray]): Positions and weights. Shapes: (kept,).
        RAISES: ValueError G011 for a graph that is not here; IndexError for a token that is not here.
        """
        if not 0 <= receiver < self.n_tokens:
            raise IndexError(receiver)
        place = self._place(graph) * self.n_tokens + receiver
        start = int(self.row_ends[place - 1]) if place else 0
        kept = slice(start, int(self.row_ends[place]))
        return self.sources[kept], self.weights[kept]

    def kept_mass(self, *, graph: GraphName = MIXED) -> Floats:
        """How much of each row was kept: 1 if all, 0 if the token attends to nothing or to nothing strongly.

        RETURNS (ndarray): Sums of the kept weights. Shape: (tokens,).
        RAISES: ValueError G011 for a graph that is not here.
        """
        indptr, _, weights = self.csr(graph=graph)
        receivers = np.repeat(np.arange(self.n_tokens), np.diff(indptr))
        return np.bincount(receivers, weights=weights, minlength=self.n_tokens).astype(np.float32)

    def csr(self, *, graph: GraphName = MIXED) -> Tuple[Ints, Ints, Floats]:
        """One graph as the three CSR arrays `indptr` (tokens + 1,), `indices` (edges,) and `data` (edges,).

        RAISES: ValueError G011 for a graph that is not here.
        """
        first = self._place(graph) * self.n_tokens
        start = self.row_ends[first - 1 : first] if first else np.zeros(1, dtype=np.int64)
        bounds = np.concatenate([start, self.row_ends[first : first + self.n_tokens]])
        return bounds - bounds[0], self.sources[bounds[0] : bounds[-1]], self.weights[bounds[0] : bounds[-1]]

    def dense(self, *, graph: GraphName = MIXED) -> Floats:
        """One graph as a matrix; what was not kept is 0.

        RETURNS (ndarray): Shape: (receiver, source).
        RAISES: ValueError G011 for a graph that is not here.
        """
        indptr, sources, weights = self.csr(graph=graph)
        matrix = np.zeros((self.n_tokens, self.n_tokens), dtype=np.float32)
        matrix[np.repeat(np.arange(self.n_tokens), np.diff(indptr)), sources] = weights
        return matrix

    def edges(self, *, min_weight: float = 0.0, top_k: Optional[int] = None, graph: GraphName = MIXED) -> List[Edge]:
        """Who attends to whom.

        min_weight (float): Leave out weights that are not above this.
        top_k (Optional[int]): Strongest sources per receiver. None: all that were kept.
        graph (GraphName): One of `names`.
        RETURNS (List[Edge]): (receiver, source, weight), receivers in reading order, strongest source first.
        RAISES: ValueError G011 for a graph that is not here.
        """
        indptr, sources, weights = self.csr(graph=graph)
        counts = np.diff(indptr)
        receivers = np.repeat(np.arange(self.n_tokens), counts)
        is_kept = weights > min_weight
        if top_k is not None:
            is_kept &= np.arange(len(weights)) - np.repeat(indptr[:-1], counts) < top_k
        columns = (receivers[is_kept].tolist(), sources[is_kept].tolist(), weights[is_kept].tolist())
        return [Edge(*edge) for edge in zip(*columns)]

    def to_scipy(self, *, graph: GraphName = MIXED) -> Any:
        """One graph as a `scipy.sparse.csr_array` (receiver, source).

        RAISES: ImportError G012 without scipy; ValueError G011 for a graph that is not here.
        """
        try:
            from scipy.sparse import csr_array
        except ImportError:
            raise ImportError(Errors.G012.format(package="scipy")) from None
        indptr, sources, weights = self.csr(graph=graph)
        matrix = csr_array((weights.copy(), sources.copy(), indptr), shape=(self.n_tokens, self.n_tokens))
        matrix.sort_indices()  # many of scipy's functions are faster so
        return matrix

    def to_networkx(self, *, graph: GraphName = MIXED, words: Optional[Sequence[str]] = None) -> Any:
        """One graph as a `networkx.DiGraph` whose edges point from source to receiver, as information flows.

        words (Optional[Sequence[str]]): Stored as the nodes' attribute `text`. Shape: (tokens,).
        RETURNS (DiGraph): Nodes are positions of tokens, edges have a `weight`.
        RAISES: ImportError G012 without networkx; ValueError G011 for a graph that is not here.
        """
        try:
            from networkx import DiGraph
        except ImportError:
            raise ImportError(Errors.G012.format(package="networkx")) from None
        digraph = DiGraph()
        digraph.add_nodes_from(range(self.n_tokens))
        if words is not None:
            digraph.add_nodes_from((position, {"text": word}) for position, word in zip(range(self.n_tokens), words))
        digraph.add_weighted_edges_from((edge.source, edge.receiver, edge.weight) for edge in self.edges(graph=graph))
        return digraph

    def _place(self, graph: GraphName) -> int:
        name = tuple(graph) if isinstance(graph, list) else graph
        if name not in self.names:
            raise ValueError(Errors.G011.format(name=graph, options=", ".join(map(str, self.names))))
        return self.names.index(name)
