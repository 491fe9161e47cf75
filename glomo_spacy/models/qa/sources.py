"""Frozen models that a reader's inputs come from: GLoMo for relational graphs, a biLM for layers of vectors.

Source: Yang et al. 2018, section 3.4, and Peters et al. 2018. Both read the original text of a token by their own
indexer; kimiyoung/glomo gave them the form of the word table, so that unknown words reached them as a marker. They stay
in evaluation mode, take no gradient, and compute in float32 whatever the reader does.
"""

from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ...errors import Errors
from ...files import sha256_of
from ...indexers import WordIndexer
from ..checkpoint import WEIGHTS, build_model, read_checkpoint
from ..elmo import BiLM
from ..glomo import GlomoModel
from ..glomo.trees import TreeGraphs
from ..packaged import find_weights
from .config import ReaderConfig

TokenLists = Sequence[Sequence[str]]


class Frozen(nn.Module):
    """A model that is never trained and always in evaluation mode.

    model (nn.Module): The model.
    sha256 (str): Of the file its weights came from.
    """

    def __init__(self, model: nn.Module, *, sha256: str) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        self.sha256 = sha256

    def train(self, mode: bool = True) -> "Frozen":
        """Stays in evaluation mode."""
        return super().train(False)


class GraphSource(Frozen):
    """Relational graphs of texts, from a GLoMo model, or from a parser's trees.

    model (Union[GlomoModel, TreeGraphs]): The model.
    indexer (WordIndexer): How words become its ids.
    sha256 (str): Of the file its weights came from.
    """

    model: Union[GlomoModel, TreeGraphs]

    def __init__(self, model: Union[GlomoModel, TreeGraphs], indexer: WordIndexer, *, sha256: str = "") -> None:
        super().__init__(model, sha256=sha256)
        self.indexer = indexer

    @classmethod
    def load(cls, source: str) -> "GraphSource":
        """Read a checkpoint.

        source (str): Packaged name or directory.
        RAISES: FileNotFoundError G122 if there is none; ValueError G203 for another kind; as `read_checkpoint`.
        """
        model, checkpoint, sha256 = _load(source, "glomo", "trees")
        return cls(model, WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab or []), sha256=sha256)

    @property
    def sizes(self) -> Tuple[int, int]:
        """Layers per direction, heads per layer."""
        return self.model.config.n_layers, self.model.config.n_heads

    @torch.no_grad()
    def graphs(self, ids: Tensor, mask: Tensor) -> List[Tensor]:
        """Every graph of every text.

        ids (Tensor): Ids of the source's own indexer; any valid one at padding. Shape: (batch, seq).
        mask (Tensor): True for real tokens, padding at the right. Shape: (batch, seq).
        RETURNS (List[Tensor]): Left layers bottom to top, then right layers; rows and columns of padding are 0.
            Shape of each: (batch, heads, receiver, source).
        """
        with torch.autocast(ids.device.type, enabled=False):
            return list(self.model.iter_graphs(ids, mask))


class ElmoSource(Frozen):
    """Layers of vectors of texts, from a biLM.

    model (BiLM): The model, with its indexer.
    sha256 (str): Of the file its weights came from.
    """

    model: BiLM

    @classmethod
    def load(cls, source: str) -> "ElmoSource":
        """Read a checkpoint.

        source (str): Packaged name or directory.
        RAISES: FileNotFoundError G122 if there is none; ValueError G203 for another kind; as `read_checkpoint`.
        """
        model, _, sha256 = _load(source, "elmo")
        return cls(model, sha256=sha256)

    @property
    def sizes(self) -> Tuple[int, int]:
        """Layers above the token vectors, width of a layer."""
        return self.model.config.n_layers, self.model.width

    @torch.no_grad()
    def layers(self, texts: TokenLists) -> Tensor:
        """Layers of each text, which is read as one sentence.

        texts (TokenLists): Tokens of each text.
        RETURNS (Tensor): Token vectors first, 0 at padding. Shape: (batch, layers + 1, seq, width).
        """
        device = next(self.model.parameters()).device.type
        with torch.autocast(device, enabled=False):
            return pad_layers(self.model.layer_tensors(texts))


class Sources(NamedTuple):
    """What a reader's inputs come from.

    graphs (Optional[GraphSource]), elmo (Optional[ElmoSource]): None: it needs none.
    """

    graphs: Optional[GraphSource] = None
    elmo: Optional[ElmoSource] = None


def load_sources(config: ReaderConfig) -> Sources:
    """Read the frozen models that a reader names.

    config (ReaderConfig): Of the reader.
    RETURNS (Sources): Those it needs.
    RAISES: ValueError G350 if it names none where it needs one, G351 if sizes or weights differ from what it was
        trained with; else as `GraphSource.load` and `ElmoSource.load`.
    """
    has_graphs, has_elmo = config.graph in ("inputs", "states"), config.elmo_layers > 0
    graphs = GraphSource.load(_named(config.graph_source, "graph_source")) if has_graphs else None
    elmo = ElmoSource.load(_named(config.elmo_source, "elmo_source")) if has_elmo else None
    sources = Sources(graphs, elmo)
    check_sources(config, sources)
    return sources


def check_sources(config: ReaderConfig, sources: Sources) -> None:
    """See that frozen models are those a reader was trained with.

    config (ReaderConfig): Of the reader.
    sources (Sources): What it is given.
    RAISES: ValueError G351 if sizes or weights differ.
    """
    pairs: List[Tuple[str, Any, Any]] = []
    if sources.graphs is not None:
        pairs += [("graph_source", sources.graphs.sizes, (config.graph_layers, config.graph_heads))]
        pairs += [("graph_source", sources.graphs.sha256, config.graph_sha256)]
    if sources.elmo is not None:
        pairs += [("elmo_source", sources.elmo.sizes, (config.elmo_layers, config.elmo_width))]
        pairs += [("elmo_source", sources.elmo.sha256, config.elmo_sha256)]
    for name, found, expected in pairs:
        if expected is not None and found != expected:
            raise ValueError(Errors.G351.format(name=name, value=getattr(config, name), found=found, expected=expected))


def pad_layers(layers: Sequence[Tensor]) -> Tensor:
    """Put layers of several texts side by side.

    layers (Sequence[Tensor]): Shape of each: (layers, tokens, width).
    RETURNS (Tensor): 0 at padding. Shape: (batch, layers, seq, width).
    """
    return pad_sequence([text.transpose(0, 1) for text in layers], batch_first=True).transpose(1, 2)


def _named(source: Optional[str], name: str) -> str:
    if not source:
        raise ValueError(Errors.G350.format(name=name))
    return source


def _load(source: str, *kinds: str) -> Tuple[Any, Any, str]:
    """A model of one of some kinds, its checkpoint and the SHA-256 of its weights."""
    directory: Path = find_weights(source)
    checkpoint = read_checkpoint(directory)
    if checkpoint.kind not in kinds:
        raise ValueError(Errors.G203.format(path=directory, found=checkpoint.kind, expected=kinds[0]))
    return build_model(checkpoint, source=str(directory)), checkpoint, sha256_of(directory / WEIGHTS)
