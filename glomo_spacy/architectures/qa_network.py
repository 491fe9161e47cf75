"""The reader inside a pipeline: its weights and settings, and what it is given of words."""

from typing import Any, Dict, List, Optional, Sequence, cast

import torch
from thinc.api import Model
from torch import Tensor

from ..errors import Errors
from ..files import sha256_of
from ..indexers import WordIndexer
from ..models.checkpoint import WEIGHTS, Checkpoint, take_apart
from ..models.qa import ReaderConfig, ReaderModel, Side
from ..models.qa.inputs import TypeTable
from ..models.qa.sources import pad_layers
from .elmo import elmo_network
from .glomo import padded_graphs
from .pretrained import PretrainedNetwork, PretrainedShim, find_pretrained
from .qa_batches import DistinctTexts
from .seam import pad_ids

# Every letter, digit and sign of ASCII: the published alphabet has as many characters.
ASCII = "".join(map(chr, range(33, 127)))

PARTS = "parts"  # attribute of the Thinc model: what its layers are

Settings = Dict[str, Any]  # the fields of ReaderConfig that a config gives


class ReaderNetwork(PretrainedNetwork):
    """A reader whose settings are those of a config.

    settings (Settings): Now and for stored weights.
    checkpoint, source, problem: As for `PretrainedNetwork`.
    RAISES: As there; ValueError G092 if the weights have other settings, G001 or G003 if the indexer does not fit.
    """

    def __init__(
        self,
        settings: Settings,
        checkpoint: Optional[Checkpoint] = None,
        *,
        source: str = "the stored weights",
        problem: str = "",
    ) -> None:
        super().__init__("reader", checkpoint, source=source, problem=problem)
        self.settings = settings
        self.indexer: Optional[WordIndexer] = None
        if checkpoint is None:
            return
        found = {name: getattr(self.config, name) for name in settings}
        differing = {name: value for name, value in found.items() if value != settings[name]}
        if differing:
            expected = {name: settings[name] for name in differing}
            raise ValueError(Errors.G092.format(path=source, found=differing, expected=expected))
        if self.config.n_words:
            self.indexer = WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab or [])

    @property
    def given(self) -> Settings:
        """Its settings."""
        return self.settings

    @property
    def config(self) -> ReaderConfig:
        """Its sizes. RAISES: ValueError G120 without weights."""
        config: ReaderConfig = self.network.config
        return config


def fresh_reader(settings: Settings, **sizes: Any) -> ReaderNetwork:
    """A reader with random weights.

    settings (Settings): What it does not hold is ASCII for the alphabet, and else as published.
    sizes (Any): Fields of `ReaderConfig` that follow from what the reader is given.
    RAISES: ValueError G100, G101 or G191 for what is not allowed.
    """
    model = ReaderModel(ReaderConfig(**{"characters": ASCII, **settings, **sizes}))
    return ReaderNetwork(settings, take_apart(model, indexer={}, vocab=None, meta={}))


def checked_reader(settings: Settings, checkpoint: Optional[Checkpoint] = None, **about: str) -> ReaderNetwork:
    """A reader from a checkpoint directory, whose frozen models can be had.

    settings, checkpoint, about: As for `ReaderNetwork`.
    RAISES: As there; FileNotFoundError G122 if a frozen model is missing, ValueError G351 if it is another one.
    """
    network = ReaderNetwork(settings, checkpoint, **about)
    if network.has_weights:
        _check_sources(network.config)
    return network


def part_of(model: Model, name: str) -> Any:
    """The "tok2vec", "graph" or "elmo" of a model of `ExtractiveQA.v1`; None if it was made without one."""
    names = model.attrs[PARTS]  # and no references, which copies of a model lose
    return model.layers[names.index(name)] if name in names else None


class ReaderInputs:
    """What a reader is given of texts; each different word is looked up once.

    model (Model): Of `ExtractiveQA.v1`; its frozen models run here.
    texts (DistinctTexts): The texts.
    rows (Optional[Tensor]): Features of all tokens, one Doc after the other. Shape: (tokens, width).
    """

    def __init__(self, model: Model, texts: DistinctTexts, rows: Optional[Tensor]) -> None:
        self._graph, self._elmo = part_of(model, "graph"), part_of(model, "elmo")
        self.texts = texts
        self.rows = rows
        network: ReaderNetwork = cast(PretrainedShim, model.shims[0]).network
        self.config = network.config
        self.device = network.device
        types, self._ids = texts.types()
        self._table = TypeTable(types, network.config, indexer=network.indexer).to(network.device)

    def side(self, places: Sequence[int]) -> Side:
        """Some windows of the texts, padded.

        places (Sequence[int]): In `DistinctTexts.windows`.
        RAISES: ValueError G120 if a frozen model has no weights.
        """
        windows = [self.texts.windows[place] for place in places]
        ids, mask = pad_ids([self._ids[window.doc][window.tokens] for window in windows])  # (batch, seq)
        given: Dict[str, Any] = {}
        if self.config.feature_width and self.rows is not None:
            given["features"] = self.rows[self.texts.positions(places).to(self.device)]  # (batch, seq, width)
        if self.config.graph in ("inputs", "states"):
            given["graphs"] = padded_graphs(self._graph, self.texts.words(places))
        if self.config.elmo_layers:
            given["elmo"] = self._elmo_layers(self.texts.words(places))
        return self._table.side(ids.to(self.device), mask.to(self.device), **given)

    def _elmo_layers(self, words: List[List[str]]) -> Tensor:
        """Each text read as one sentence. Shape: (batch, layers + 1, seq, width)."""
        with torch.no_grad():
            layers = elmo_network(self._elmo).network.layer_tensors(words)
        return pad_layers([text.to(self.device) for text in layers])


def _check_sources(config: ReaderConfig) -> None:
    """RAISES: FileNotFoundError G122 or ValueError G351, see `checked_reader`."""
    for name, expected in (("graph", config.graph_sha256), ("elmo", config.elmo_sha256)):
        source = getattr(config, f"{name}_source")
        found = sha256_of(find_pretrained(source) / WEIGHTS) if source is not None else None
        if expected is not None and found != expected:
            message = Errors.G351.format(name=f"{name}_source", value=source, found=found, expected=expected)
            raise ValueError(message)
