"""From the type ids of a batch to what a reader is given: word rows, characters, frozen graphs, layers of a biLM."""

from typing import List, Optional, Protocol, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from ..indexers import WordIndexer
from ..models.qa import ReaderConfig, Side
from ..models.qa.graph_store import GraphStore
from ..models.qa.inputs import TypeTable
from ..models.qa.sources import GraphSource


class Layers(Protocol):
    """What gives the layers of a biLM: computed (`ElmoSource`), or extracted before (`StoredLayers`)."""

    def layers(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """Shape: (batch, layers + 1, seq, width)."""


class ReaderInputs(nn.Module):
    """Everything a reader is given, on the device it stands on. Nothing here is trained.

    types (Sequence[str]): Every different token of the corpus; its place is the type id.
    config (ReaderConfig): Of the reader.
    indexer (Optional[WordIndexer]): Of its word table.
    graphs (Optional[GraphSource]): Where graphs come from.
    graph_store (Optional[GraphStore]): Where those of contexts come from instead.
    elmo (Optional[Layers]): Where layers of vectors come from.
    """

    graph_ids: Optional[Tensor]

    def __init__(
        self,
        types: Sequence[str],
        config: ReaderConfig,
        *,
        indexer: Optional[WordIndexer] = None,
        graphs: Optional[GraphSource] = None,
        graph_store: Optional[GraphStore] = None,
        elmo: Optional[Layers] = None,
    ) -> None:
        super().__init__()
        self._types = types
        self.table = TypeTable(types, config, indexer=indexer)
        self.graphs, self.elmo = graphs, elmo
        self._context_graphs = graph_store or graphs
        graph_ids = None if graphs is None else torch.from_numpy(graphs.indexer.ids(types))
        self.register_buffer("graph_ids", graph_ids, persistent=False)

    def sides(self, tokens: Tensor, contexts: Tensor, questions: Tensor) -> Tuple[Side, Side]:
        """Both sides of a batch; arguments as the fields of `ReaderBatch`."""
        return self._side(tokens, contexts, self._context_graphs), self._side(tokens, questions, self.graphs)

    def _side(self, tokens: Tensor, places: Tensor, source: Union[GraphSource, GraphStore, None]) -> Side:
        mask = places >= 0
        ids = tokens[places.clamp(min=0)]  # (batch, seq)
        graphs: Optional[List[Tensor]] = None
        if source is not None and self.graph_ids is not None:
            graphs = source.graphs(self.graph_ids[ids], mask)
        elmo = None
        if self.elmo is not None:
            elmo = self.elmo.layers(self._texts(ids, mask)).to(ids.device)
        return self.table.side(ids, mask, graphs=graphs, elmo=elmo)

    def _texts(self, ids: Tensor, mask: Tensor) -> List[List[str]]:
        """The tokens of each text."""
        lengths: List[int] = mask.sum(1).tolist()
        return [[self._types[index] for index in row[:length]] for row, length in zip(ids.tolist(), lengths)]
