"""The objective of the question-answering reader: find the first and the last token of the answer in its context.

Source: Yang et al. 2018, section 4.1; the training of kimiyoung/glomo's `squad/`. Unlike there, all questions are
trained on, and all held-out ones are scored, by the official definition.
"""

from collections import Counter
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from ..corpora.feature_store import StoredLayers, corpus_texts
from ..corpora.squad_corpus import SquadCorpus, SquadSplit
from ..errors import Errors
from ..indexers import WordIndexer
from ..models.qa import ReaderConfig, ReaderModel
from ..models.qa.graph_store import GraphStore
from ..models.qa.inputs import reader_indexer
from ..models.qa.sources import ElmoSource, GraphSource
from .config import build_section
from .objectives import Objective
from .reader_batches import BatchShape, ReaderBatch, ReaderBatches, TrainingQuestions
from .reader_evaluation import Reading, measure
from .reader_inputs import Layers, ReaderInputs

_HOPELESS = 3.0  # times the loss of a reader that knows nothing

# What corpus, vectors and frozen models decide, not [model].
_DECIDED = (
    *("n_words", "word_width", "feature_width", "characters"),
    *("elmo_layers", "elmo_width", "elmo_sha256", "graph_layers", "graph_heads", "graph_sha256"),
)


@dataclass(frozen=True)
class QuestionSettings:
    """[corpora] of an objective that reads questions.

    batch_size (int): Questions per batch, over all processes together. Published: 32.
    buckets (List[int]): Lengths of contexts that part the buckets, ascending; a batch is of one bucket. The published
        runs had none ([]); the published code's own default is 40 to 360 in steps of 40.
    questions_per_context (int): So many questions of one context are drawn together, and share its encoding and its
        frozen graphs. 1: each by itself, as published.
    max_context (int): Tokens of a context that are read at once, in training the part around the answer, else windows.
        Published: 400, and longer ones dropped.
    stride (int): Tokens from one window's begin to the next one's.
    train_fraction (Optional[float]): Train on this share of the questions, 0-1; null: on all.
    fraction_seed (int): Draws them; the same for different `system.seed`, so that runs can be compared in pairs.
    elmo_store (Optional[str]): Folder of the biLM's layers, as `extract` writes them for this corpus; null: they are
        computed as one goes.
    provenance (str): What the text is and its licence; kept in meta.json.
    graph_store (Optional[str]): Folder where graphs of contexts are kept, written as one goes; runs may share it, also
        at once. None: they are computed each time.
    """

    batch_size: int
    buckets: List[int]
    questions_per_context: int
    max_context: int
    stride: int
    train_fraction: Optional[float]
    fraction_seed: int
    elmo_store: Optional[str]
    provenance: str
    graph_store: Optional[str] = None

    def __post_init__(self) -> None:
        for name in ("batch_size", "questions_per_context", "max_context", "stride"):
            _check(f"corpora.{name}", getattr(self, name) >= 1, "at least 1", getattr(self, name))
        _check("corpora.stride", self.stride <= self.max_context, "at most corpora.max_context", self.stride)
        fraction = self.train_fraction
        _check("corpora.train_fraction", fraction is None or 0 < fraction <= 1, "above 0 and at most 1", fraction)
        is_ascending = sorted(set(self.buckets)) == self.buckets
        _check("corpora.buckets", is_ascending, "a list of ascending lengths", self.buckets)


@dataclass(frozen=True)
class ReaderSettings:
    """[pretraining.objective] name = "reader"

    word_vectors (bool): Read the corpus's static word vectors (`use_glove`). The biLM is chosen by [model] elmo_source.
    max_characters (int): So many of the most frequent characters of the training text have a vector of their own.
        0: no character features. Published: 94.
    """

    word_vectors: bool
    max_characters: int

    def __post_init__(self) -> None:
        name = "pretraining.objective.max_characters"
        _check(name, self.max_characters >= 0, "at least 0", self.max_characters)


@dataclass(frozen=True)
class ReaderEvaluation:
    """[pretraining.evaluation] of "reader"

    batch_tokens (int): Tokens of contexts per batch, padded, a context counted for each of its questions. It does not
        move the result.
    max_questions (Optional[int]): Only so many held-out questions, for quick looks; null: all.
    """

    batch_tokens: int
    max_questions: Optional[int]


class ReaderObjective(Objective):
    """Train a `ReaderModel` on questions; see `Objective` for the arguments.

    RAISES: ValueError G358 if [model] sets what the corpus or a frozen model decides, G306 if the batch does not divide
        among the processes, G352 for fewer questions than a batch, G353 without word vectors, G354 for graphs without
        their source, G355-G357 for a store of other texts, of another biLM or not whole; else as `ReaderConfig`,
        `SquadCorpus` and `build_section`.
    """

    kind = "reader"
    shown: ClassVar[str] = "f1"
    model: ReaderModel
    loss: "ReaderLoss"

    def __init__(self, config: Mapping[str, Any], *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        sections = config["pretraining"]
        settings = build_section(
            ReaderSettings, name="pretraining.objective", values=sections["objective"], extra=("name",)
        )
        self._evaluation = build_section(ReaderEvaluation, name="pretraining.evaluation", values=sections["evaluation"])
        text = build_section(QuestionSettings, name="corpora", values=config.get("corpora"))
        if text.batch_size % world_size:
            raise ValueError(Errors.G306.format(batch_size=text.batch_size, world_size=world_size))
        self.provenance = text.provenance
        corpus = SquadCorpus(config["paths"]["corpus"])
        train, self._held_out = corpus.split("train"), corpus.split("dev")
        questions = _training_questions(train, text)
        self._reading = Reading(text.max_context, text.stride, self._evaluation.batch_tokens)
        self.corpus_record = {**corpus.record, "fingerprint": corpus.fingerprint}
        self.worst_loss = _HOPELESS * 2 * log(text.max_context)
        self._build(config.get("model"), corpus, train, settings, text)
        shape = BatchShape(text.batch_size, tuple(text.buckets), text.questions_per_context)
        self.batches = ReaderBatches(questions, shape, seed=seed, rank=rank, world_size=world_size)
        self._rank, self._world_size = rank, world_size

    def evaluate(self, device: torch.device) -> Dict[str, Any]:
        """Exact match and F1 of the held-out questions, and their loss."""
        return measure(
            self.model,
            self.loss.inputs,
            self._held_out,
            reading=self._reading,
            max_questions=self._evaluation.max_questions,
            device=device,
            rank=self._rank,
            world_size=self._world_size,
        )

    def score(self, measures: Dict[str, Any]) -> Optional[float]:
        """F1, as published."""
        return float(measures["f1"])

    def _build(
        self,
        section: Any,
        corpus: SquadCorpus,
        train: SquadSplit,
        settings: ReaderSettings,
        text: QuestionSettings,
    ) -> None:
        """Model, inputs and loss."""
        graphs, elmo = _sources(section)
        indexer = _word_indexer(corpus) if settings.word_vectors else None
        decided: Dict[str, Any] = {"n_words": 0, "characters": _alphabet(corpus, train, settings.max_characters)}
        if indexer is not None and corpus.vectors is not None:
            decided |= {"n_words": len(indexer), "word_width": corpus.vectors.shape[1]}
        if graphs is not None:
            n_layers, n_heads = graphs.sizes
            decided |= {"graph_layers": n_layers, "graph_heads": n_heads, "graph_sha256": graphs.sha256}
        if elmo is not None:
            n_layers, width = elmo.sizes
            decided |= {"elmo_layers": n_layers, "elmo_width": width, "elmo_sha256": elmo.sha256}
        model_config = _model_config(section, decided)
        self.model = ReaderModel(model_config)
        if indexer is not None and corpus.vectors is not None:
            _fill_table(self.model, corpus)
        self.vocab = None if indexer is None else list(indexer.words)
        self.indexer = {"kind": WordIndexer.kind, "lang": corpus.lang} if indexer is None else indexer.config
        store = None if graphs is None or text.graph_store is None else GraphStore(graphs, text.graph_store)
        layers: Optional[Layers] = elmo
        if elmo is not None and text.elmo_store is not None:
            layers = StoredLayers(text.elmo_store, weights=elmo.sha256, source=str(model_config.elmo_source))
            layers.require(corpus_texts(corpus, max_context=text.max_context, stride=text.stride))
        inputs = ReaderInputs(
            corpus.types, model_config, indexer=indexer, graphs=graphs, graph_store=store, elmo=layers
        )
        self.loss = ReaderLoss(self.model, inputs)


class ReaderLoss(nn.Module):
    """The training loss as one call, so that DDP sees a single forward pass.

    model (ReaderModel): The model.
    inputs (ReaderInputs): What it is given of a batch; nothing in it is trained.
    """

    def __init__(self, model: ReaderModel, inputs: ReaderInputs) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, *batch: Tensor) -> Tensor:
        """batch: As `ReaderBatch`. Gives the mean nats per question, start and end added; a scalar."""
        parts = ReaderBatch(*batch)
        context, question = self.inputs.sides(parts.tokens, parts.contexts, parts.questions)
        start_logits, end_logits = self.model(context, question, parts.owners, is_train=self.training)
        return self.model.loss(start_logits, end_logits, parts.starts, parts.ends)


def _training_questions(train: SquadSplit, text: QuestionSettings) -> TrainingQuestions:
    questions = TrainingQuestions(
        train, max_context=text.max_context, fraction=text.train_fraction, seed=text.fraction_seed
    )
    if len(questions) < text.batch_size:
        share = "" if text.train_fraction is None else f" (corpora.train_fraction = {text.train_fraction})"
        raise ValueError(
            Errors.G352.format(batch_size=text.batch_size, path=train.directory, found=len(questions), share=share)
        )
    return questions


def _sources(section: Any) -> Tuple[Optional[GraphSource], Optional[ElmoSource]]:
    """The frozen models that [model] names."""
    given = section if isinstance(section, Mapping) else {}
    graph, graph_source, elmo_source = (given.get(name) for name in ("graph", "graph_source", "elmo_source"))
    needs_graphs = graph in ("inputs", "states")
    if needs_graphs and not graph_source:
        raise ValueError(Errors.G354.format(name=f"model.graph = {graph!r}", needed="model.graph_source"))
    graphs = GraphSource.load(str(graph_source)) if needs_graphs else None
    return graphs, ElmoSource.load(elmo_source) if elmo_source else None


def _word_indexer(corpus: SquadCorpus) -> WordIndexer:
    if corpus.vectors is None:
        raise ValueError(Errors.G353.format(path=corpus.directory))
    return reader_indexer(corpus.words, lang=corpus.lang)


def _alphabet(corpus: SquadCorpus, train: SquadSplit, limit: int) -> str:
    """The most frequent characters of the training text; of equal ones the first in the order of code points."""
    counts: Counter[str] = Counter()
    for count, word in zip(train.token_counts(len(corpus.types)).tolist(), corpus.types):
        for letter in word if count else "":
            counts[letter] += count
    return "".join(sorted(sorted(counts, key=lambda letter: (-counts[letter], letter))[:limit]))


def _model_config(section: Any, decided: Mapping[str, Any]) -> ReaderConfig:
    given = section if isinstance(section, Mapping) else {}
    for name in _DECIDED:
        if name in given:
            raise ValueError(Errors.G358.format(name=name))
    values = {**given, **decided} if given else section
    return build_section(ReaderConfig, name="model", values=values)


@torch.no_grad()
def _fill_table(model: ReaderModel, corpus: SquadCorpus) -> None:
    """Write the corpus's vectors into the model's table; the last row, of unknown words, is 0."""
    if model.words is not None and corpus.vectors is not None:
        model.words.weight[:-1] = torch.from_numpy(np.array(corpus.vectors, dtype=np.float32))
        model.words.weight[-1] = 0.0


def _check(name: str, is_fine: bool, expected: str, value: Any) -> None:
    if not is_fine:
        raise ValueError(Errors.G141.format(name=name, expected=expected, value=value))
