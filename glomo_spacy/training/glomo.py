"""The GLoMo objective: predict the next words from sampled positions, and see that no head dies.

Source: Yang et al. 2018, section 3.1; sampled soft-max after Jean et al. 2015.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional

import torch
from torch import Tensor, nn

from ..corpora import EvalWindows, RandomWindows, ShardedCorpus
from ..errors import Errors, Warnings
from ..evaluation.graph_heads import head_statistics
from ..evaluation.perplexity import held_out_loss
from ..models.glomo import GlomoConfig, GlomoModel, Negatives
from ..models.memory import keep_compiled_products
from .config import build_section
from .objectives import Batch, Batches, Objective


@dataclass(frozen=True)
class WindowSettings:
    """[corpora] of an objective that reads windows of running text.

    bptt (int): Longest window, in tokens. Published: 200.
    shift (int): Tokens between the starts of two windows; below `bptt` they overlap. Published: 100.
    batch_size (int): Windows per batch, over all processes together. Published: 32.
    vary (bool): Draw the length of each batch between about half of `bptt` and `bptt`, and the shift around its value,
        as published; otherwise both are constant.
    provenance (str): What the text is and its licence; kept in meta.json.
    """

    bptt: int
    shift: int
    batch_size: int
    vary: bool
    provenance: str


@dataclass(frozen=True)
class GlomoSettings:
    """[pretraining.objective] name = "glomo"

    n_positions (Optional[int]): Positions per direction and batch from which context is predicted, drawn with
        replacement, the same for every window of the batch. Published: 20. null: every position once.
    n_negatives (Optional[int]): Train with a soft-max over the target and the words of this many draws from
        counts ** power, shared by all targets; null: over the whole vocabulary, as published. Evaluation is always
        over the whole.
    negatives_power (float): Flattens the counts from which negatives are drawn, 0-1.
    max_empty (Optional[float]): Stop the run when more than this share of a learned head's rows is empty; null: warn
        when it is over one half.
    """

    n_positions: Optional[int]
    n_negatives: Optional[int]
    negatives_power: float
    max_empty: Optional[float]


@dataclass(frozen=True)
class GlomoEvaluation:
    """[pretraining.evaluation] of "glomo"

    batch_size (int): Windows per batch.
    max_batches (Optional[int]): Batches of the held-out text to use, from its beginning; null: all.
    n_positions (Optional[int]): Positions per direction and batch; null: all.
    seed (int): Draws the positions, the same ones at every evaluation.
    """

    batch_size: int
    max_batches: Optional[int]
    n_positions: Optional[int]
    seed: int


class GlomoObjective(Objective):
    """Predict the next words from sampled positions (Yang et al. 2018, section 3.1). Arguments as for `Objective`."""

    kind = "glomo"
    model: GlomoModel

    def __init__(self, config: Mapping[str, Any], *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        if config.get("system", {}).get("precision") == "bf16-mixed":
            keep_compiled_products()  # its windows come in some hundred lengths, again and again
        pretraining = config["pretraining"]
        self.settings = build_section(
            GlomoSettings, name="pretraining.objective", values=pretraining["objective"], extra=("name",)
        )
        self._evaluation = build_section(
            GlomoEvaluation, name="pretraining.evaluation", values=pretraining["evaluation"]
        )
        self._windows = build_section(WindowSettings, name="corpora", values=config.get("corpora"))
        self.provenance = self._windows.provenance
        self._model_config(config.get("model"), vocab_size=1)  # a wrong setting is found before the corpus is read
        directory = Path(config["paths"]["corpus"])
        corpus = ShardedCorpus(directory, split="train")
        held_out = ShardedCorpus(directory, split="dev")
        self.vocab, self.indexer, self.corpus_record = list(corpus.words), dict(corpus.record["indexer"]), corpus.record
        self.model = GlomoModel(self._model_config(config.get("model"), vocab_size=len(corpus.words)))
        _check_windows(self._windows, self.model.config, world_size)
        if held_out.longest_document <= self.model.config.dec_len:
            raise ValueError(Errors.G315.format(corpus=directory, dec_len=self.model.config.dec_len))
        self._held_out = EvalWindows(
            held_out, batch_size=self._evaluation.batch_size, bptt=self._windows.bptt, shift=self._windows.shift
        )
        sampler = self._negative_sampler(corpus.counts)
        self.loss = GlomoLoss(self.model, log_expected=sampler.log_expected if sampler else None)
        windows = RandomWindows(
            corpus,
            batch_size=self._windows.batch_size,
            bptt=self._windows.bptt,
            shift=self._windows.shift,
            seed=seed,
            rank=rank,
            world_size=world_size,
            vary=self._windows.vary,
        )
        self.batches: GlomoBatches = GlomoBatches(
            windows,
            dec_len=self.model.config.dec_len,
            n_positions=self.settings.n_positions,
            sampler=sampler,
            seed=seed,
        )
        self._rank, self._world_size = rank, world_size

    def evaluate(self, device: torch.device) -> Dict[str, Any]:
        """Held-out loss over the whole vocabulary, and whether each head is alive."""
        settings = self._evaluation
        measures = held_out_loss(
            self.model,
            islice(self._held_out, settings.max_batches),
            n_positions=settings.n_positions,
            seed=settings.seed,
            device=device,
            rank=self._rank,
            world_size=self._world_size,
        )
        ids, mask = next(iter(self._held_out))
        return {**measures, **head_statistics(self.model, ids[:8].to(device), mask[:8].to(device))}

    def warnings(self, measures: Dict[str, Any]) -> Optional[str]:
        """Name the heads that are mostly empty."""
        limit = self.settings.max_empty
        threshold = 0.5 if limit is None else limit
        empty = [name for name, share in zip(measures["heads"], measures["empty"]) if share > threshold]
        if empty and limit is not None:
            raise RuntimeError(Errors.G303.format(heads=", ".join(empty), limit=limit))
        return Warnings.G320.format(heads=", ".join(empty)) if empty else None

    def _model_config(self, section: Any, *, vocab_size: int) -> GlomoConfig:
        values = {**section, "vocab_size": vocab_size} if isinstance(section, Mapping) else section
        if isinstance(section, Mapping) and "vocab_size" in section:
            raise ValueError(Errors.G146.format(name="vocab_size"))
        return build_section(GlomoConfig, name="model", values=values)

    def _negative_sampler(self, counts: Iterable[int]) -> Optional["NegativeSampler"]:
        if self.settings.n_negatives is None:
            return None
        return NegativeSampler(counts, n_negatives=self.settings.n_negatives, power=self.settings.negatives_power)


class GlomoLoss(nn.Module):
    """The training loss as one call, so that DDP and `torch.compile` see a single forward pass.

    model (GlomoModel): The model.
    log_expected (Optional[Tensor]): For sampled soft-max, see `Negatives`. Shape: (vocab,).
    """

    log_expected: Tensor

    def __init__(self, model: GlomoModel, *, log_expected: Optional[Tensor]) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("log_expected", log_expected, persistent=False)

    def forward(self, ids: Tensor, left: Tensor, right: Tensor, negatives: Optional[Tensor] = None) -> Tensor:
        """ids: (batch, seq), never padded; left, right: (positions,); negatives: (negatives,). Gives a scalar."""
        sample = None if negatives is None else Negatives(negatives, self.log_expected)
        return self.model.loss(ids, positions=(left, right), negatives=sample)


class NegativeSampler:
    """Draw words in proportion to a power of their counts; a word that is drawn more than once counts once.

    So a word's expected count is the chance to be drawn at all, at most 1, and frequent words are treated exactly.
    With repetition a frequent word would be expected dozens of times and, as a target, be corrected by as much.

    counts (Iterable[int]): Count of each word; a word that never occurred counts as one, so that its odds stay finite.
    n_negatives (int): Draws; the distinct words among them are fewer.
    power (float): 0-1.
    """

    def __init__(self, counts: Iterable[int], *, n_negatives: int, power: float) -> None:
        shares = torch.as_tensor(list(counts), dtype=torch.float64).clamp(min=1) ** power
        shares = shares / shares.sum()
        self.n_negatives = n_negatives
        self.log_expected = (-torch.expm1(n_negatives * torch.log1p(-shares))).log().float()  # 1 - (1 - q)^n, (vocab,)
        self._cumulative = shares.cumsum(0)[:-1].contiguous()  # without the last, no draw can fall beyond the end

    def draw(self, generator: torch.Generator) -> Tensor:
        """Distinct word ids in ascending order. Shape: (negatives,), at most n_negatives."""
        places = torch.rand(self.n_negatives, dtype=torch.float64, generator=generator)
        return torch.unique(torch.searchsorted(self._cumulative, places))


class GlomoBatches(Batches):
    """Windows with the positions and negatives to train on.

    windows (RandomWindows): Word ids per batch.
    dec_len (int): Words predicted from each position.
    n_positions (Optional[int]): Positions per direction; None: all.
    sampler (Optional[NegativeSampler]): None: no negatives.
    seed (int): Start of the generator of positions and negatives. The same on all processes, so that together they
        give what one process with the joined batch gives.
    """

    def __init__(
        self,
        windows: RandomWindows,
        *,
        dec_len: int,
        n_positions: Optional[int],
        sampler: Optional[NegativeSampler],
        seed: int,
    ) -> None:
        self._windows = windows
        self._dec_len = dec_len
        self._n_positions = n_positions
        self._sampler = sampler
        self._generator = torch.Generator().manual_seed(seed)

    def __next__(self) -> Batch:
        ids = next(self._windows)
        batch = (ids, self._positions(ids.shape[1]), self._positions(ids.shape[1]))
        return batch if self._sampler is None else (*batch, self._sampler.draw(self._generator))

    @property
    def epoch(self) -> float:
        return float(self._windows.epoch)

    def state_dict(self) -> Dict[str, Any]:
        return {"windows": self._windows.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self._windows.load_state_dict(state["windows"])
        self._generator.set_state(state["generator"])

    def _positions(self, seq: int) -> Tensor:
        limit = seq - self._dec_len
        if self._n_positions is None:
            return torch.arange(limit)
        return torch.randint(limit, (self._n_positions,), generator=self._generator)


def _check_windows(windows: WindowSettings, model: GlomoConfig, world_size: int) -> None:
    shortest = int(windows.bptt / 1.96) if windows.vary else windows.bptt  # 1.4 ** -2 of the longest, as published
    if shortest <= model.dec_len:
        raise ValueError(Errors.G305.format(bptt=windows.bptt, shortest=shortest, dec_len=model.dec_len))
    if windows.batch_size % world_size:
        raise ValueError(Errors.G306.format(batch_size=windows.batch_size, world_size=world_size))
