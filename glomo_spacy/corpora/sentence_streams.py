"""Windows of fixed length from parallel streams of sentences, in both reading directions.

Source: the data loader of bilm-tf (Peters et al. 2018): a row reads one sentence after the other, goes on in the next
batch where it stopped, and is filled exactly; the backward stream has the words reversed and the marks swapped.

    forward   inputs  <S>  w1 … wn     targets  w1 … wn  </S>
    backward  inputs </S>  wn … w1     targets  wn … w1   <S>
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import Errors
from ..indexers import VocabularyIndexer
from .document_queue import DocumentQueue
from .sentence_shards import SentenceCorpus
from .shards import Shard

_BEGIN, _END = VocabularyIndexer.begin_sentence, VocabularyIndexer.end_sentence

_Ids = npt.NDArray[np.int64]


class StreamBatch(NamedTuple):
    """What both directions read and predict, each int64 of shape (batch, unroll).

    Ids are those of types: one that is not below the size of the vocabulary is `<UNK>` as a target.
    """

    forward_inputs: Tensor
    forward_targets: Tensor
    backward_inputs: Tensor
    backward_targets: Tensor


class EvalBatch(NamedTuple):
    """A `StreamBatch` and its mask, bool of shape (batch, unroll): true = real token. Elsewhere ids are 0."""

    forward_inputs: Tensor
    forward_targets: Tensor
    backward_inputs: Tensor
    backward_targets: Tensor
    mask: Tensor


class SentenceStreams:
    """Training batches without end: every row reads sentence after sentence and takes the next one from a queue that
    all rows share. Shards come in random order, anew in each epoch, and so do the sentences of a shard.

    A position is four whole numbers per row and a few of the queue; the shards stay on disk.

    Differs from the source: both directions read the same sentences in the same order, so that a batch has fewer
    distinct words; the source shuffled each direction's on its own.

    corpus (SentenceCorpus): Where sentences come from.
    batch_size (int): Rows, over all processes together. Published: 128 on each of 3.
    unroll (int): Tokens per row. Published: 20.
    seed (int): Order of shards and sentences. At least 0.
    rank (int): Which process this is. It yields its own rows of the batch that a single process would see whole.
    world_size (int): Processes that share the batch; must divide `batch_size`.
    YIELDS (StreamBatch): Arrays of shape (batch_size / world_size, unroll).
    RAISES: G908 (ValueError) for a value outside its range.
    """

    def __init__(
        self,
        corpus: SentenceCorpus,
        *,
        batch_size: int,
        unroll: int = 20,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_positive(batch_size=batch_size, unroll=unroll)
        if batch_size % world_size:
            expected = f"a multiple of the {world_size} processes"
            raise ValueError(Errors.G908.format(name="batch_size", expected=expected, value=batch_size))
        self.corpus = corpus
        self.batch_size = batch_size
        self.unroll = unroll
        self.seed = seed
        share = batch_size // world_size
        self._own_rows = range(rank * share, (rank + 1) * share)
        self._queue = DocumentQueue(corpus, seed=seed)
        self._rows = [_Row() for _ in range(batch_size)]
        self._open: Dict[int, Shard] = {}  # the shard that sentences are read from

    @property
    def epoch(self) -> float:
        """Passes over the corpus so far, counting a sentence once a row has begun it."""
        return self._queue.epoch + self._queue.n_given / self.corpus.n_tokens

    def __iter__(self) -> Iterator[StreamBatch]:
        return self

    def __next__(self) -> StreamBatch:
        ids = np.empty((4, len(self._own_rows), self.unroll), dtype=np.int64)
        for index, row in enumerate(self._rows):
            own = index - self._own_rows.start if index in self._own_rows else None
            done = 0
            while done < self.unroll:
                if not row.n_left:
                    self._take(row, is_own=own is not None)
                n = min(self.unroll - done, row.n_left)
                if own is not None:
                    _copy(row.marked, row.place, ids[:, own, done : done + n])
                row.place += n
                done += n
        return StreamBatch(*torch.from_numpy(ids))

    def state_dict(self) -> Dict[str, Any]:
        """The position, as plain numbers that fit in JSON: the same for every rank."""
        rows = [[row.shard, row.begin, row.end, row.place] for row in self._rows]
        return {"settings": self._settings, "queue": self._queue.state_dict(), "rows": rows}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was called.

        RAISES: G907 (ValueError) if it was called with another corpus or other settings.
        """
        for name, expected in self._settings.items():
            found = state["settings"].get(name)
            if found != expected:
                raise ValueError(Errors.G907.format(name=name, found=found, expected=expected))
        self._queue.load_state_dict(state["queue"])
        self._rows = [_Row(*numbers) for numbers in state["rows"]]
        for index in self._own_rows:
            self._read(self._rows[index])

    @property
    def _settings(self) -> Dict[str, Any]:
        return {
            "corpus": self.corpus.fingerprint,
            "batch_size": self.batch_size,
            "unroll": self.unroll,
            "seed": self.seed,
        }

    def _take(self, row: "_Row", *, is_own: bool) -> None:
        row.shard, row.begin, row.end = self._queue.take()
        row.place = 0
        if is_own:
            self._read(row)

    def _read(self, row: "_Row") -> None:
        if row.shard not in self._open:
            self._open = {row.shard: self.corpus.shard(row.shard)}
        row.marked = _mark(self._open[row.shard].ids[row.begin : row.end])


class EvalStreams:
    """All sentences of a corpus once, in its order: batches as in training, until the rows run out of sentences.

    corpus (SentenceCorpus): Usually the "dev" split.
    batch_size (int): Rows.
    unroll (int): Tokens per row.
    YIELDS (EvalBatch): Arrays of shape (batch_size, unroll). Their masks have `corpus.n_predictions` positions.
    RAISES: G908 (ValueError) for a value outside its range.
    """

    def __init__(self, corpus: SentenceCorpus, *, batch_size: int, unroll: int = 20) -> None:
        _check_positive(batch_size=batch_size, unroll=unroll)
        self.corpus = corpus
        self.batch_size = batch_size
        self.unroll = unroll

    def __iter__(self) -> Iterator[EvalBatch]:
        return lay_out(self.corpus.documents(), batch_size=self.batch_size, unroll=self.unroll)


def lay_out(sentences: Iterable[_Ids], *, batch_size: int, unroll: int) -> Iterator[EvalBatch]:
    """Lay sentences into rows, each of them once; a row takes the next sentence when it is through with one.

    sentences (Iterable[ndarray]): Ids of types without marks. Shape of each: (tokens,).
    batch_size (int): Rows.
    unroll (int): Tokens per row.
    YIELDS (EvalBatch): Arrays of shape (batch_size, unroll).
    """
    queue = iter(sentences)
    rows = [_Row() for _ in range(batch_size)]
    while True:
        ids = np.zeros((4, batch_size, unroll), dtype=np.int64)
        mask = np.zeros((batch_size, unroll), dtype=bool)
        for index, row in enumerate(rows):
            done = 0
            while done < unroll and (row.n_left or _refill(row, next(queue, None))):
                n = min(unroll - done, row.n_left)
                _copy(row.marked, row.place, ids[:, index, done : done + n])
                row.place += n
                done += n
            mask[index, :done] = True
        if not mask.any():
            return
        parts = torch.from_numpy(ids)
        yield EvalBatch(parts[0], parts[1], parts[2], parts[3], torch.from_numpy(mask))


@dataclass
class _Row:
    """A sentence, and how many of its predictions are made; a new row has none left."""

    shard: int = 0
    begin: int = 0
    end: int = 0
    place: int = 1
    marked: _Ids = field(
        default_factory=lambda: np.zeros(0, dtype=np.int64)
    )  # the sentence between its marks, where this process needs it

    @property
    def n_left(self) -> int:
        """Predictions that are still to be made: one for each token and one for the end."""
        return self.end - self.begin + 1 - self.place


def _refill(row: _Row, sentence: Optional[_Ids]) -> bool:
    if sentence is None:
        return False
    row.end, row.place, row.marked = len(sentence), 0, _mark(sentence)
    return True


def _mark(sentence: npt.NDArray[Any]) -> _Ids:
    """Put a sentence between its marks. Shape: (tokens + 2,)."""
    marked = np.empty(len(sentence) + 2, dtype=np.int64)
    marked[0], marked[1:-1], marked[-1] = _BEGIN, sentence, _END
    return marked


def _copy(marked: _Ids, place: int, window: _Ids) -> None:
    """Copy what follows `place` into a window. Shape: (4, tokens), in the order of `StreamBatch`."""
    stop = place + window.shape[1]
    mirrored = marked[::-1]  # the marks are swapped by it, too
    window[0], window[1] = marked[place:stop], marked[place + 1 : stop + 1]
    window[2], window[3] = mirrored[place:stop], mirrored[place + 1 : stop + 1]


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(Errors.G908.format(name=name, expected="at least 1", value=value))
