"""The objective of a word language model: predict the next word of one running text.

Sources: Melis et al. 2020 and deepmind/lamb, Merity et al. 2018 (AWD-LSTM): windows of contiguous text, the model's
state carried from one to the next, the mean cross-entropy per word.
"""

from dataclasses import dataclass
from math import log
from typing import Any, Dict, Mapping, Optional

import torch
from torch import Tensor, nn

from ..corpora.sentence_shards import SentenceCorpus
from ..corpora.text_streams import EvalTextStreams, TextStreams
from ..errors import Errors
from ..evaluation.language_model import StaticScorer, WordTable, held_out_perplexity
from ..models.mogrifier import LanguageModel, MogrifierConfig, State
from ..models.mogrifier.output import FullOutput
from ..models.softmax import Negatives
from .config import build_section
from .mogrifier_batches import MogrifierBatches, UnknownWords
from .objectives import Objective
from .sampling import LogUniformSampler

_HOPELESS = 3.0  # times the loss of a model that knows nothing


@dataclass(frozen=True)
class TextSettings:
    """[corpora] of an objective that reads running text.

    batch_size (int): Columns the text is cut into, over all processes together. Published: 64.
    unroll (int): Words per column and batch; gradients end at a window, states are carried on. Published: 70.
    vary (bool): Draw the length of each window around `unroll`, and scale the learning rate with it. Published: false;
        true by Merity et al. 2018.
    provenance (str): What the text is and its licence; kept in meta.json.
    """

    batch_size: int
    unroll: int
    vary: bool
    provenance: str


@dataclass(frozen=True)
class MogrifierSettings:
    """[pretraining.objective] name = "mogrifier"

    gradient_scale (float): Factor on gradients before weight decay is added and norms are clipped. Published: the
        window's length, 70, since lamb sums losses over time; 1 for other recipes.
    activation_penalty (float): Times the mean square of the outputs after dropout. Published: 0; 2 by Merity et al.
    slowness_penalty (float): Times the mean square of the outputs' change from word to word, before dropout.
        Published: 0; 1 by Merity et al.
    start_from_counts (bool): Begin with biases that know how often each word stands in the training text. Published:
        false.
    n_negatives (Optional[int]): Train the soft-max on targets and so many different words, drawn by rank; held-out
        figures are always over all words. null: all words, as published.
    n_spelled (int): Unknown words spelled per batch, if the model has [model] spelling_width. Their gradients move no
        other weights. Published: none, since this is our addition.
    """

    gradient_scale: float
    activation_penalty: float
    slowness_penalty: float
    start_from_counts: bool
    n_negatives: Optional[int]
    n_spelled: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            is_positive = name in ("gradient_scale", "n_negatives")
            is_fine = value is None or (value > 0 if is_positive else value >= 0)
            if not is_fine:
                expected = "above 0" if is_positive else "at least 0"
                raise ValueError(
                    Errors.G141.format(name=f"pretraining.objective.{name}", expected=expected, value=value)
                )


@dataclass(frozen=True)
class MogrifierEvaluation:
    """[pretraining.evaluation] of "mogrifier"

    batch_size (int): Columns the held-out text is cut into at most; each is at least 100 windows long.
    unroll (int): Words per column at a time; it does not move the result.
    max_tokens (Optional[int]): Only so many words from the beginning of the text; null: all of it.
    """

    batch_size: int
    unroll: int
    max_tokens: Optional[int]


class MogrifierObjective(Objective):
    """Train a `LanguageModel` on running text; see `Objective` for the arguments.

    RAISES: ValueError G146 if [model] sets what the corpus decides, G306 if the batch does not divide among the
        processes; else as `MogrifierConfig`, `SentenceCorpus`, its streams and `build_section`.
    """

    kind = "mogrifier"
    model: LanguageModel
    loss: "MogrifierLoss"

    def __init__(self, config: Mapping[str, Any], *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        sections = config["pretraining"]
        settings = build_section(
            MogrifierSettings, name="pretraining.objective", values=sections["objective"], extra=("name",)
        )
        evaluation = build_section(MogrifierEvaluation, name="pretraining.evaluation", values=sections["evaluation"])
        text = build_section(TextSettings, name="corpora", values=config.get("corpora"))
        if text.batch_size % world_size:
            raise ValueError(Errors.G306.format(batch_size=text.batch_size, world_size=world_size))
        self.provenance = text.provenance
        corpus = SentenceCorpus(config["paths"]["corpus"], split="train")
        held_out = SentenceCorpus(config["paths"]["corpus"], split="dev")
        self._held_out = EvalTextStreams(held_out, **vars(evaluation))
        self.corpus_record, self.vocab, self.indexer = corpus.record, list(corpus.words), corpus.indexer.config
        self.worst_loss = _HOPELESS * log(corpus.n_words)
        self.model = _new_model(config.get("model"), corpus)
        if settings.start_from_counts:
            _start_from_counts(self.model, torch.from_numpy(corpus.counts))
        self.loss = MogrifierLoss(self.model, corpus, settings=settings)
        shape: Dict[str, Any] = {name: getattr(text, name) for name in ("batch_size", "unroll", "vary")}
        streams = TextStreams(corpus, **shape, seed=seed, rank=rank, world_size=world_size)
        has_spelling = self.model.spelling is not None and settings.n_spelled > 0
        unknown = UnknownWords(corpus, n_words=settings.n_spelled, seed=seed) if has_spelling else None
        sampler = _sampler(self.model, settings)
        self.batches = MogrifierBatches(streams, unknown_words=unknown, sampler=sampler, seed=seed)
        self._rank, self._world_size = rank, world_size

    def evaluate(self, device: torch.device) -> Dict[str, Any]:
        """Held-out perplexity over the whole vocabulary, state carried; bits per byte if unknown words are spelled."""
        words = WordTable(self._held_out.corpus.types, self.loss.indexer, spelling=self.model.spelling)
        scorer, share = StaticScorer(self.model), {"rank": self._rank, "world_size": self._world_size}
        return held_out_perplexity(scorer, self._held_out, words, **share)

    def state_dict(self) -> Dict[str, Any]:
        """What the model of this process remembers of the text."""
        return {"state": None if self.loss.state is None else list(self.loss.state)}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        parts = state["state"]
        self.loss.state = None if parts is None else State(*parts)


class MogrifierLoss(nn.Module):
    """The training loss as one call, so that DDP sees a single forward pass; keeps the model's state between calls.

    model (LanguageModel): The model.
    corpus (SentenceCorpus): Whose types are spelled.
    settings (MogrifierSettings): Penalties and scale.
    """

    def __init__(self, model: LanguageModel, corpus: SentenceCorpus, *, settings: MogrifierSettings) -> None:
        super().__init__()
        self.model = model
        self.types, self.indexer, self.settings = corpus.types, corpus.indexer, settings
        self.state: Optional[State] = None

    def forward(self, inputs: Tensor, targets: Tensor, is_start: Tensor, spelled: Tensor, *negatives: Tensor) -> Tensor:
        """batch: As `MogrifierBatches` yields it. Gives the mean nats per word, a scalar, whose gradient has penalties
        and spelling too."""
        state = self.state
        if state is not None:
            state = State(*(part.to(inputs.device).masked_fill(is_start, 0) for part in state))
        outputs, state = self.model.read(inputs, state)  # (batch, window, width)
        self.state = State(*(part.detach() for part in state))
        dropped = self.model.drop(outputs)
        words = dropped.flatten(0, 1), targets.flatten()
        losses = self.model.sampled_losses(*words, Negatives(*negatives)) if negatives else self.model.losses(*words)
        loss = losses.mean()
        whole = loss + self._penalties(outputs, dropped) + self._spelling(spelled)
        # The value stays that of the words; only its gradient is of all and scaled.
        return loss.detach() + self.settings.gradient_scale * (whole - whole.detach())

    def _penalties(self, outputs: Tensor, dropped: Tensor) -> Tensor:
        """Merity et al. 2018, section 4.6; outputs before and after dropout. Shape: ()."""
        settings, total = self.settings, outputs.new_zeros(())
        if settings.activation_penalty:
            total = total + settings.activation_penalty * dropped.pow(2).mean()
        if settings.slowness_penalty and outputs.shape[1] > 1:
            total = total + settings.slowness_penalty * outputs.diff(dim=1).pow(2).mean()
        return total

    def _spelling(self, spelled: Tensor) -> Tensor:
        """Mean nats per byte of some unknown words, their ends included: of the same size as a word's nats, so that
        neither crowds out the other where norms are clipped. Shape: ()."""
        if not len(spelled) or self.model.spelling is None:
            return torch.zeros((), device=spelled.device)
        words = [self.types[index] for index in spelled.tolist()]
        n_bytes = sum(len(word.encode("utf8", "surrogatepass")) + 1 for word in words)
        return self.model.spelling.losses(words).sum() / n_bytes


def _new_model(section: Any, corpus: SentenceCorpus) -> LanguageModel:
    """The model of the [model] section for the words of a corpus."""
    given = section if isinstance(section, Mapping) else {}
    if "vocab_size" in given:
        raise ValueError(Errors.G146.format(name="vocab_size"))
    values = {**given, "vocab_size": corpus.n_words} if given else section
    model = LanguageModel(build_section(MogrifierConfig, name="model", values=values))
    model.attach_indexer(corpus.indexer)
    return model


def _sampler(model: LanguageModel, settings: MogrifierSettings) -> Optional[LogUniformSampler]:
    """What draws the negatives; None if the soft-max is trained on all words."""
    if settings.n_negatives is None:
        return None
    if not isinstance(model.output, FullOutput):
        config = model.config
        raise ValueError(Errors.G187.format(softmax=config.softmax, n_softmaxes=config.n_softmaxes))
    return LogUniformSampler(model.config.vocab_size, n_negatives=settings.n_negatives)


@torch.no_grad()
def _start_from_counts(model: LanguageModel, counts: Tensor) -> None:
    """Set the biases of the output layer to the logarithms of the words' shares; an adaptive soft-max has no such."""
    bias = getattr(model.output, "bias", None)
    if bias is not None:
        bias.copy_(((counts.double() + 1) / (counts.sum() + len(counts))).log())
