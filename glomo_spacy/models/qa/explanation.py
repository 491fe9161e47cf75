"""What a reader did to answer: its scores, and how it used its graphs."""

from dataclasses import dataclass
from typing import List, Optional

from torch import Tensor

from ..glomo.mixing import GraphTransfer
from .side import Side


@dataclass(frozen=True)
class GraphUse:
    """How features flowed along the graphs of one side's texts.

    names (List[str]): What the candidates of each head are: "G1", "G2", "G2 G1", ...; empty for the uniform graph.
    weights (Optional[Tensor]): How much each candidate counts, over candidates and heads a sum of 1. None for the
        uniform graph. Shape: (batch, receiver, directions, mixes, candidates, heads).
    graphs (Tensor): The mixtures along which features flowed; padding is 0.
        Shape: (batch, directions, mixes, receiver, source).
    """

    names: List[str]
    weights: Optional[Tensor]
    graphs: Tensor

    @classmethod
    def of(cls, transfer: GraphTransfer, features: Tensor, side: Side) -> "GraphUse":
        """What `transfer` does with these features. Shape of features: (batch, seq, width)."""
        graphs = transfer.mixed_graph(features, side.graphs or (), side.mask)
        if transfer.config.is_uniform:
            return cls([], None, graphs)
        weights = transfer.mixture(features, dropout=0.0)
        if weights.dim() == 4:  # shared by all positions
            weights = weights.expand(*features.shape[:2], *weights.shape)
        return cls(transfer.config.candidate_names, weights, graphs)


@dataclass(frozen=True)
class ReaderExplanation:
    """Scores and graphs of a call.

    start_logits, end_logits (Tensor): As `ReaderModel` gives them. Shape: (questions, seq).
    context, question (Optional[GraphUse]): None for a reader without graphs.
    """

    start_logits: Tensor
    end_logits: Tensor
    context: Optional[GraphUse]
    question: Optional[GraphUse]
