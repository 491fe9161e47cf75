"""Training batches of a word language model: windows of the running text, and unknown words to spell."""

from typing import Any, Dict, Optional

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..corpora.sentence_shards import SentenceCorpus
from ..corpora.text_streams import TextStreams, known_ids
from ..indexers.vocabulary import SPECIALS
from .objectives import Batch, Batches
from .sampling import LogUniformSampler

_DRAWS = 5  # keeps these random numbers apart from the others under one seed
_RARE = 0.9  # from this share of the vocabulary on, words stand in for unknown ones where there are none
_BLOCK = 1 << 20  # ids counted at a time


class UnknownWords:
    """The words of the training text that the vocabulary lacks, drawn as often as each stands there.

    Held-out text adds none. Where the vocabulary has all words, the rarest tenth of it stands in for them: what a
    published text has replaced by `<unk>` was rarer still.

    corpus (SentenceCorpus): The training split.
    n_words (int): Words per draw.
    seed (int): Start of the draws.
    """

    def __init__(self, corpus: SentenceCorpus, *, n_words: int, seed: int) -> None:
        counts = count_types(corpus)
        unknown = counts[corpus.n_words :]
        self._first = corpus.n_words
        if not unknown.any():
            self._first = max(int(_RARE * corpus.n_words), len(SPECIALS))
            unknown = counts[self._first : corpus.n_words]
        self._ends = np.cumsum(unknown)
        self._n_running = int(unknown.sum())  # a given vocabulary may know every word and have none that is rare
        self._n_words, self._seed = n_words, seed

    def draw(self, step: int) -> Tensor:
        """The words of a step: ids of types. Only seed and step decide. Shape: (n_words,), or (0,) without any."""
        if not self._n_running:
            return torch.empty(0, dtype=torch.int64)
        places = np.random.default_rng((_DRAWS, self._seed, step)).integers(self._n_running, size=self._n_words)
        return torch.from_numpy(self._first + np.searchsorted(self._ends, places, side="right"))


class MogrifierBatches(Batches):
    """Windows of text with words to spell.

    streams (TextStreams): Ids of types.
    unknown_words (Optional[UnknownWords]): None: nothing is spelled.
    sampler (Optional[LogUniformSampler]): None: no negatives.
    seed (int): Start of the generator of negatives.

    Words to spell and negatives are the same on all processes, so that together they give what one process with the
    joined batch gives.
    """

    def __init__(
        self,
        streams: TextStreams,
        *,
        unknown_words: Optional[UnknownWords],
        sampler: Optional[LogUniformSampler],
        seed: int,
    ) -> None:
        self._streams = streams
        self._unknown_words = unknown_words
        self._sampler = sampler
        self._generator = torch.Generator().manual_seed(seed)
        self._step = 0

    def __next__(self) -> Batch:
        """Inputs and targets, (batch, window); whether columns begin, (); ids of types to spell, (words,); ids and
        number of draws of the negatives, if any."""
        inputs, targets, is_start = next(self._streams)
        n_words = self._streams.corpus.n_words
        unknown = self._unknown_words
        spelled = torch.empty(0, dtype=torch.int64) if unknown is None else unknown.draw(self._step)
        self._step += 1
        words = (known_ids(ids, n_words=n_words) for ids in (inputs, targets))
        negatives = () if self._sampler is None else tuple(self._sampler.draw(self._generator))
        return (*words, torch.tensor(is_start), spelled, *negatives)

    @property
    def epoch(self) -> float:
        return self._streams.epoch

    @property
    def rate_factor(self) -> float:
        """A shorter window, whose loss is a mean over fewer words, moves the weights less (Merity et al. 2018)."""
        return self._streams.length_factor

    def state_dict(self) -> Dict[str, Any]:
        return {"streams": self._streams.state_dict(), "step": self._step, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self._streams.load_state_dict(state["streams"])
        self._step = state["step"]
        self._generator.set_state(state["generator"])


def count_types(corpus: SentenceCorpus) -> npt.NDArray[np.int64]:
    """How often each type stands in a split, those beyond the vocabulary too. Shape: (types,)."""
    counts = np.zeros(len(corpus.types), dtype=np.int64)
    for index in range(len(corpus.shard_names)):
        ids = corpus.shard(index).ids
        for begin in range(0, len(ids), _BLOCK):
            counts += np.bincount(ids[begin : begin + _BLOCK], minlength=len(counts))
    return counts
