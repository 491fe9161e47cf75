"""The biLM objective: predict the next word and the one before, through one soft-max.

Source: Peters et al. 2018, section 3.1, and the training of bilm-tf: stateful windows, sampled soft-max, loss
0.5 * (forward + backward), the mean per word.
"""

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Dict, Mapping, Optional, cast

import torch
from torch import Tensor, nn

from ..corpora.sentence_shards import SentenceCorpus
from ..corpora.sentence_streams import EvalStreams, SentenceStreams
from ..errors import Errors
from ..evaluation.bilm import held_out_perplexity
from ..indexers import CharIndexer, Indexer
from ..models.elmo import BiLM, BiLMState, ElmoConfig, State
from ..models.elmo.losses import window_losses
from ..models.elmo.windows import WindowMaker
from ..models.softmax import FullSoftmax
from .config import build_section
from .elmo_batches import ElmoBatches, unpack
from .objectives import Objective
from .sampling import LogUniformSampler


@dataclass(frozen=True)
class StreamSettings:
    """[corpora] of an objective that reads sentences.

    batch_size (int): Rows per batch, over all processes together. Published: 128 per GPU, 3 GPUs.
    unroll (int): Words per row and batch; gradients end at a window, states are carried on. Published: 20.
    provenance (str): What the text is and its licence; kept in meta.json.
    """

    batch_size: int
    unroll: int
    provenance: str


@dataclass(frozen=True)
class ElmoSettings:
    """[pretraining.objective] name = "elmo"

    n_negatives (Optional[int]): Train a full soft-max on targets and so many different words, drawn by rank and shared
        by both directions. null: on the whole vocabulary. Evaluation is always over the whole. Published: 8192.
    gradient_scale (float): Factor on gradients before they are clipped. Published: 20, the window's length, which
        matters for Adagrad; Adam cancels it.
    start_from_counts (bool): Begin with a full soft-max that knows how often each word stands in the training text, see
        `FullSoftmax.start_from_counts`. Published: false.
    """

    n_negatives: Optional[int]
    gradient_scale: float
    start_from_counts: bool

    def __post_init__(self) -> None:
        for name, value in (("n_negatives", self.n_negatives), ("gradient_scale", self.gradient_scale)):
            if value is not None and value <= 0:
                name = f"pretraining.objective.{name}"
                raise ValueError(Errors.G141.format(name=name, expected="above 0", value=value))


@dataclass(frozen=True)
class ElmoEvaluation:
    """[pretraining.evaluation] of "elmo"

    batch_size (int): Rows the held-out text is divided into; each begins with a zero state.
    unroll (int): Words per row at a time. It moves the result a little, since a row that is through with a sentence
        takes the next one; with one row it does not.
    max_batches (Optional[int]): Batches to use, which shortens every row; null: all of the text.
    """

    batch_size: int
    unroll: int
    max_batches: Optional[int]


class ElmoObjective(Objective):
    """Train a `BiLM` on sentences; see `Objective` for the arguments.

    RAISES: ValueError G146 if [model] sets what the corpus decides, G155 for negatives without a full soft-max, G306
        if the batch does not divide among the processes; else as `ElmoConfig`, `SentenceCorpus`, its streams and
        `build_section`.
    """

    kind = "elmo"
    model: BiLM
    loss: "ElmoLoss"

    def __init__(self, config: Mapping[str, Any], *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        sections = config["pretraining"]
        settings = build_section(
            ElmoSettings, name="pretraining.objective", values=sections["objective"], extra=("name",)
        )
        evaluation = build_section(ElmoEvaluation, name="pretraining.evaluation", values=sections["evaluation"])
        streams = build_section(StreamSettings, name="corpora", values=config.get("corpora"))
        if streams.batch_size % world_size:
            raise ValueError(Errors.G306.format(batch_size=streams.batch_size, world_size=world_size))
        self.provenance = streams.provenance
        corpus = SentenceCorpus(config["paths"]["corpus"], split="train")
        held_out = SentenceCorpus(config["paths"]["corpus"], split="dev")
        self._held_out = EvalStreams(held_out, batch_size=evaluation.batch_size, unroll=evaluation.unroll)
        self._max_batches = evaluation.max_batches
        self.corpus_record, self.vocab = corpus.record, list(corpus.words)
        self.model = _new_model(config.get("model"), corpus)
        indexer = cast(Indexer, self.model.indexer)
        self.indexer = indexer.config
        self._maker = WindowMaker(corpus.types, words=corpus.words, indexer=indexer)
        softmax = self.model.softmax
        if settings.start_from_counts and isinstance(softmax, FullSoftmax):
            softmax.start_from_counts(torch.from_numpy(corpus.counts))
        sampler = _sampler(settings, self.model.config)
        self.loss = ElmoLoss(self.model, has_negatives=sampler is not None, gradient_scale=settings.gradient_scale)
        shape = {"batch_size": streams.batch_size, "unroll": streams.unroll}
        windows = SentenceStreams(corpus, **shape, seed=seed, rank=rank, world_size=world_size)
        self.batches = ElmoBatches(
            windows, self._maker, sampler=sampler, n_directions=self.loss.n_directions, seed=seed
        )
        self._rank, self._world_size = rank, world_size

    def evaluate(self, device: torch.device) -> Dict[str, Any]:
        """Held-out perplexity of each direction over the whole vocabulary."""
        return held_out_perplexity(
            self.model,
            islice(self._held_out, self._max_batches),
            self._maker,
            device=device,
            rank=self._rank,
            world_size=self._world_size,
        )

    def state_dict(self) -> Dict[str, Any]:
        """What the LSTMs of this process remember."""
        return {"lstm": None if self.loss.state is None else [part and tuple(part) for part in self.loss.state]}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        parts = state["lstm"]
        self.loss.state = None if parts is None else BiLMState(*(part and State(*part) for part in parts))


class ElmoLoss(nn.Module):
    """The training loss as one call, so that DDP sees a single forward pass; keeps the LSTMs' states between calls.

    model (BiLM): The model.
    has_negatives (bool): Whether batches hold negatives.
    gradient_scale (float): As in `ElmoSettings`.
    """

    def __init__(self, model: BiLM, *, has_negatives: bool, gradient_scale: float) -> None:
        super().__init__()
        self.model = model
        self.n_directions = 2 if model.config.directions == "both" else 1
        self.has_negatives = has_negatives
        self.gradient_scale = gradient_scale
        self.state: Optional[BiLMState] = None

    def forward(self, *batch: Tensor) -> Tensor:
        """batch: As `ElmoBatches` yields it. Gives the mean loss per word and direction, a scalar."""
        windows, negatives = unpack(batch, n_directions=self.n_directions, has_negatives=self.has_negatives)
        state = self.state and _to_device(self.state, batch[0].device)
        losses, self.state = window_losses(self.model, windows, state=state, negatives=negatives)
        loss = torch.stack(losses).mean()
        # The value stays; only its gradient is scaled.
        return loss.detach() + self.gradient_scale * (loss - loss.detach())


def _new_model(section: Any, corpus: SentenceCorpus) -> BiLM:
    """The model of the [model] section for the words and characters of a corpus."""
    given = section if isinstance(section, Mapping) else {}
    for name in ("vocab_size", "n_characters"):
        if name in given:
            raise ValueError(Errors.G146.format(name=name))
    values = {**given, "vocab_size": corpus.n_words} if given else section
    config = build_section(ElmoConfig, name="model", values=values)
    indexer: Indexer = corpus.indexer
    if config.token_encoder == "characters":
        lang = corpus.record["lang"]
        indexer = CharIndexer(alphabet=corpus.alphabet, max_characters=config.max_characters, lang=lang)
        config = replace(config, n_characters=indexer.n_characters)
    model = BiLM(config)
    model.attach_indexer(indexer)
    return model


def _sampler(settings: ElmoSettings, model: ElmoConfig) -> Optional[LogUniformSampler]:
    if settings.n_negatives is None:
        return None
    if model.softmax != "full":
        raise ValueError(Errors.G155.format(softmax=model.softmax))
    return LogUniformSampler(model.vocab_size or 0, n_negatives=settings.n_negatives)


def _to_device(state: BiLMState, device: torch.device) -> BiLMState:
    forward, backward = (part and State(*(tensor.to(device) for tensor in part)) for part in state)
    return BiLMState(cast(State, forward), backward)
