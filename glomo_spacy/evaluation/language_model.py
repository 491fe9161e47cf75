"""Held-out perplexity of a language model, exact: the whole vocabulary, state carried over the text, every word once.

Source: Melis et al. 2020, section 4, and the evaluation of deepmind/lamb: deterministic, or averaged over networks with
parts dropped at random (Monte Carlo), with a temperature of the softmax chosen on validation text.
"""

import math
from typing import Any, Callable, Dict, Iterable, Optional, Protocol, Sequence, Tuple

import torch
from torch import Tensor

from ..errors import Errors
from ..indexers import VocabularyIndexer
from ..models.mogrifier import LanguageModel

Window = Tuple[Tensor, Tensor, Tensor]

MEANS = ("arithmetic", "geometric")
_GOLDEN = (math.sqrt(5) - 1) / 2


class Scorer(Protocol):
    """Reads a text window by window, and remembers what it has read."""

    def __call__(self, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Score the next window.

        inputs, targets (Tensor): Word ids. Shape: (columns, window).
        mask (Tensor): True = real token. Shape: (columns, window).
        RETURNS (Tensor): Nats of each real target, rows one after the other. Shape: (targets,).
        """


class WordTable:
    """What a model makes of the different words of a text.

    types (Sequence[str]): Every word of the text, once, after `<S>`, `</S>` and `<UNK>`.
    indexer (VocabularyIndexer): Of the model. Words that it lacks count as `<UNK>`.
    spelling (Optional[Any]): A `Spelling`, which tells what an unknown word costs beyond its being unknown. None:
        there are no bits per byte.
    """

    def __init__(self, types: Sequence[str], indexer: VocabularyIndexer, *, spelling: Optional[Any] = None) -> None:
        self.types, self.spelling, self.n_words = types, spelling, len(indexer)
        ids = torch.from_numpy(indexer.ids(types))
        self.ids = ids.masked_fill(ids == indexer.begin_sentence, indexer.unknown_id)  # (types,); no model predicts <S>

    def spelling_nats(self, counts: Tensor) -> float:
        """What the spelling of all unknown words costs; not a number without a model of spelling, or where the text
        itself holds `<UNK>`, whose spelling is lost.

        counts (Tensor): How often each type stands in the text. Shape: (types,).
        """
        is_unknown = self.ids == VocabularyIndexer.unknown_id
        if self.spelling is None or counts[VocabularyIndexer.unknown_id]:
            return math.nan
        places = (is_unknown & (counts > 0)).nonzero()[:, 0]
        bits = torch.from_numpy(self.spelling.log2_probabilities([self.types[place] for place in places.tolist()]))
        return -float((bits * counts[places]).sum()) * math.log(2)

    def n_bytes(self, counts: Tensor) -> int:
        """UTF-8 bytes of the text, each word with the blank or line end behind it."""
        places = counts.nonzero()[:, 0].tolist()
        inside = [place for place in places if place != VocabularyIndexer.end_sentence]
        return sum(
            (len(self.types[place].encode("utf8", "surrogatepass")) + 1) * int(counts[place]) for place in inside
        )


def held_out_perplexity(
    scorer: Scorer, windows: Iterable[Window], words: WordTable, *, rank: int = 0, world_size: int = 1
) -> Dict[str, Any]:
    """Mean cross-entropy of held-out text.

    scorer (Scorer): How windows are scored, new, so that it begins with a state of zero.
    windows (Iterable[Window]): Inputs, targets and mask as `EvalTextStreams` yields them, of ids of types.
    words (WordTable): Of the text's types.
    rank, world_size (int): Each process takes its share of the columns; sums are added over all.
    RETURNS (Dict[str, Any]): `loss` in nats per target, over the closed vocabulary; `perplexity`, its exponential;
        `bits_per_target`, in which models of characters are compared; `n_targets`; `n_tokens`, those that are not the
        end of a sentence; `n_unknown` and `unknown_rate`, how many and which share of the tokens the vocabulary lacks;
        `n_words`, its size; `bits_per_byte` with unknown words spelled out, None where that is not known.
    """
    total = torch.zeros(1, dtype=torch.float64)
    counts = torch.zeros(len(words.types), dtype=torch.int64)
    for window in windows:
        inputs, targets, mask = (part[rank::world_size] for part in window)
        if len(inputs):
            nats = scorer(words.ids[inputs], words.ids[targets], mask)
            total += nats.double().sum().cpu()
            counts += torch.bincount(targets[mask], minlength=len(counts))
    if world_size > 1:
        total, counts = (_sum_over_processes(sums) for sums in (total, counts))
    return _summary(float(total), counts, words)


class StaticScorer:
    """The model as it is: one pass without dropout.

    model (LanguageModel): In evaluation mode.
    temperature (float): Logits are divided by it.
    """

    def __init__(self, model: LanguageModel, *, temperature: float = 1.0) -> None:
        self.model, self.temperature = model, temperature
        self.state: Optional[Any] = None

    @torch.no_grad()
    def __call__(self, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        inputs, targets, mask = to_device_of(self.model, inputs, targets, mask)
        outputs, self.state = self.model(inputs, self.state)  # (columns, window, hidden)
        return self.model.losses(outputs[mask], targets[mask], temperature=self.temperature)


class MonteCarloScorer:
    """The mean prediction of networks that dropout makes from the model, each with a state of its own. Masks are drawn
    anew for each window, as in training.

    Differs from lamb: there, the geometric mean goes on from the state of the model without dropout.

    model (LanguageModel): In evaluation mode, with dropout rates above 0 in its config.
    n_samples (int): Networks. At least 1.
    mean (str): "arithmetic": of the probabilities; "geometric": of their logarithms, made to sum to 1 again.
    temperature (float): Logits are divided by it.
    RAISES: ValueError G100 for another mean, G244 for a model without dropout.
    """

    def __init__(
        self, model: LanguageModel, *, n_samples: int, mean: str = "arithmetic", temperature: float = 1.0
    ) -> None:
        if mean not in MEANS:
            raise ValueError(Errors.G100.format(name="mean", value=mean, options=", ".join(MEANS)))
        if not any(getattr(model.config, f"{place}_dropout") for place in ("input", "layer", "state", "output")):
            raise ValueError(Errors.G244)
        self.model, self.n_samples, self.mean, self.temperature = model, n_samples, mean, temperature
        self.state: Optional[Any] = None

    @torch.no_grad()
    def __call__(self, inputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        inputs, targets, mask = to_device_of(self.model, inputs, targets, mask)
        self.model.train()
        try:
            rows, self.state = self.model(inputs.repeat(self.n_samples, 1), self.state)
        finally:
            self.model.eval()
        outputs = [sample[mask] for sample in rows.unflatten(0, (self.n_samples, -1))]  # each (targets, hidden)
        mean = self._arithmetic if self.mean == "arithmetic" else self._geometric
        return mean(outputs, targets[mask])

    def _arithmetic(self, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        nats = torch.stack([self.model.losses(each, targets, temperature=self.temperature) for each in outputs])
        return math.log(self.n_samples) - torch.logsumexp(-nats.double(), 0)  # (targets,)

    def _geometric(self, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        total = sum(self.model.log_probabilities(each, temperature=self.temperature).double() for each in outputs)
        mean = torch.as_tensor(total) / self.n_samples  # (targets, vocab)
        return torch.logsumexp(mean, 1) - mean.gather(1, targets[:, None])[:, 0]


def search_temperature(
    measure: Callable[[float], float], *, lowest: float = 0.5, highest: float = 1.5, tolerance: float = 0.02
) -> float:
    """The softmax temperature of the lowest loss, by golden sections: the loss has a single minimum.

    measure (Callable[[float], float]): The loss on validation text at a temperature; called about ten times.
    lowest, highest (float): Between them. lamb: 0.8 to 1.
    tolerance (float): How near to the best one.
    RETURNS (float): The best temperature measured.
    """
    inner = [highest - _GOLDEN * (highest - lowest), lowest + _GOLDEN * (highest - lowest)]
    losses = [measure(temperature) for temperature in inner]
    while highest - lowest > tolerance:
        side = int(losses[1] < losses[0])  # 1: the minimum is above the lower inner point
        lowest, highest = (inner[0], highest) if side else (lowest, inner[1])
        kept = inner[side]
        new = lowest + highest - kept
        fresh = measure(new)
        inner, losses = ([kept, new], [losses[side], fresh]) if side else ([new, kept], [fresh, losses[side]])
    return inner[int(losses[1] < losses[0])]


def to_device_of(model: LanguageModel, *tensors: Tensor) -> Tuple[Tensor, ...]:
    """The tensors on the device of the model."""
    device = next(model.parameters()).device
    return tuple(tensor.to(device) for tensor in tensors)


def _sum_over_processes(sums: Tensor) -> Tensor:
    on_gpu = torch.distributed.get_backend() == "nccl"  # which adds nothing in the memory of the CPU
    sums = sums.to("cuda" if on_gpu else "cpu")
    torch.distributed.all_reduce(sums)
    return sums.cpu()


def _summary(total: float, counts: Tensor, words: WordTable) -> Dict[str, Any]:
    n_targets, n_ends = int(counts.sum()), int(counts[VocabularyIndexer.end_sentence])
    n_unknown = int(counts[words.ids == VocabularyIndexer.unknown_id].sum())
    n_tokens = n_targets - n_ends
    loss = total / n_targets if n_targets else math.nan
    all_nats, n_bytes = total + words.spelling_nats(counts), words.n_bytes(counts)
    return {
        "loss": loss,
        "perplexity": math.exp(min(loss, 700.0)),  # beyond it, exp overflows
        "bits_per_target": loss / math.log(2),
        "n_targets": n_targets,
        "n_tokens": n_tokens,
        "n_unknown": n_unknown,
        "unknown_rate": n_unknown / n_tokens if n_tokens else 0.0,
        "n_words": words.n_words,
        "bits_per_byte": all_nats / math.log(2) / n_bytes if n_bytes and math.isfinite(all_nats) else None,
    }
