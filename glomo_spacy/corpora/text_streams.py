"""Windows of one running text: its columns are read side by side, and what a model remembers is carried on.

Source: the data loaders of Merity et al. 2018 (AWD-LSTM) and Melis et al. 2020: all sentences in the order of the text,
each followed by its end, are one line of words, cut into columns of equal length.

    inputs  </S>  w1 … wn  </S>  v1 …     targets  w1 … wn  </S>  v1 … vm
"""

from bisect import bisect_left
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Protocol, Tuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import Errors
from ..indexers import VocabularyIndexer
from .sentence_shards import SentenceCorpus
from .shards import Shard

_END = VocabularyIndexer.end_sentence
_READS_BEFORE_CLOSING = 10_000  # pages of mapped files count as memory until the files are closed
_WINDOWS_PER_COLUMN = 100  # fewer would score too many words soon after a state of zero
_LENGTHS = 4  # keeps these random numbers apart from the others under one seed
_DEVIATION, _SHORTEST, _SHARE_OF_HALVES = 5.0, 5, 0.05  # Merity et al. 2018, section 5

_Ids = npt.NDArray[np.int64]


class Sentences(Protocol):
    """What a running text is made of: a `SentenceCorpus`, or a `SentenceList` in memory."""

    shard_names: Tuple[str, ...]
    types: List[str]

    @property
    def n_predictions(self) -> int: ...

    def shard(self, index: int) -> Shard: ...


class TextWindow(NamedTuple):
    """What columns read and predict, int64 of shape (batch, window), and whether they are at their beginnings.

    Ids are those of types: one that is not below the size of the vocabulary is `<UNK>`, see `known_ids`.
    """

    inputs: Tensor
    targets: Tensor
    is_start: bool


class EvalTextWindow(NamedTuple):
    """Inputs and targets as in `TextWindow`; mask, bool of the same shape: true = real token. Elsewhere ids are 0."""

    inputs: Tensor
    targets: Tensor
    mask: Tensor


def known_ids(ids: Tensor, *, n_words: int) -> Tensor:
    """Ids of the vocabulary for ids of types: all that are not below `n_words` are `<UNK>`. Same shape."""
    return ids.masked_fill(ids >= n_words, VocabularyIndexer.unknown_id)


class RunningText:
    """All sentences of a corpus in its order, each followed by `</S>`, as one line of ids that stays on disk.

    corpus (Sentences): Where they come from.
    """

    def __init__(self, corpus: Sentences) -> None:
        self.corpus = corpus
        shards = (corpus.shard(index) for index in range(len(corpus.shard_names)))
        self._starts = np.cumsum([0, *(len(shard.ids) + len(shard) for shard in shards)])
        self._open: Dict[int, Shard] = {}
        self._n_reads = 0

    def __len__(self) -> int:
        """Ids in the line."""
        return self.corpus.n_predictions

    def read(self, begin: int, end: int) -> _Ids:
        """The ids from place `begin` on, before place `end`; place -1 holds an `</S>`. Shape: (end - begin,)."""
        ids = np.full(end - begin, _END, dtype=np.int64)
        place = max(begin, 0)
        index = int(np.searchsorted(self._starts, place, side="right")) - 1
        while place < end:
            first = int(self._starts[index])
            stop = min(end, int(self._starts[index + 1]))
            _copy(self._shard(index), place - first, ids[place - begin : stop - begin])
            place, index = stop, index + 1
        return ids

    def window(self, begin: int, end: int) -> _Ids:
        """The id before each place and the one at it. Shape: (2, end - begin)."""
        ids = self.read(begin - 1, end)
        return np.stack([ids[:-1], ids[1:]])

    def _shard(self, index: int) -> Shard:
        self._n_reads += 1
        if self._n_reads % _READS_BEFORE_CLOSING == 0:
            self._open = {}
        if index not in self._open:
            self._open[index] = self.corpus.shard(index)
        return self._open[index]


class TextStreams:
    """Training windows without end: `batch_size` columns of one running text, read side by side, epoch after epoch.

    Every word is predicted once in an epoch, from what stands before it in the text, also at the beginning of a window
    or column; left out are only the last words, fewer than there are columns. The last window of an epoch is as short
    as need be. A position is three whole numbers; the shards stay on disk.

    Differs from the sources: they leave the first word of each column unpredicted, and the rest of the last window.

    corpus (SentenceCorpus): Where the text comes from.
    batch_size (int): Columns, over all processes together. Published: 20 to 128.
    unroll (int): Words per column and window. Published: 35 to 70.
    vary (bool): Draw each window's length: around `unroll` in 19 of 20 windows, around half of it in the others, at
        least 5 (Merity et al. 2018), so that windows end at other words in each epoch. See `length_factor`.
    seed (int): Of these draws. At least 0.
    rank (int): Which process this is. It yields its own columns of the batch that a single process would see whole.
    world_size (int): Processes that share the batch; must divide `batch_size`.
    YIELDS (TextWindow): Arrays of shape (batch_size / world_size, window).
    RAISES: G908 (ValueError) for a value outside its range, G330 if the text has fewer words than columns.
    """

    def __init__(
        self,
        corpus: SentenceCorpus,
        *,
        batch_size: int,
        unroll: int = 35,
        vary: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        _check_positive(batch_size=batch_size, unroll=unroll)
        if batch_size % world_size:
            expected = f"a multiple of the {world_size} processes"
            raise ValueError(Errors.G908.format(name="batch_size", expected=expected, value=batch_size))
        self.corpus = corpus
        self.batch_size, self.unroll, self.vary, self.seed = batch_size, unroll, vary, seed
        self.length_factor = 1.0  # the last window's share of `unroll`, where lengths vary
        share = batch_size // world_size
        self._columns = range(rank * share, (rank + 1) * share)
        self._text = RunningText(corpus)
        self._height = len(self._text) // batch_size  # words in a column
        if not self._height:
            raise ValueError(Errors.G330.format(path=corpus.directory, n_words=len(self._text), n_columns=batch_size))
        self._epoch = self._place = self._step = 0

    @property
    def epoch(self) -> float:
        """Passes over the text so far."""
        return self._epoch + self._place / self._height

    def __iter__(self) -> Iterator[TextWindow]:
        return self

    def __next__(self) -> TextWindow:
        if self._place == self._height:
            self._epoch, self._place = self._epoch + 1, 0
        begin, end = self._place, min(self._place + self._draw(), self._height)
        windows = [
            self._text.window(*(column * self._height + place for place in (begin, end))) for column in self._columns
        ]
        ids = torch.from_numpy(np.stack(windows, axis=1))  # (2, columns, window)
        self._place, self._step = end, self._step + 1
        self.length_factor = (end - begin) / self.unroll if self.vary else 1.0
        return TextWindow(ids[0], ids[1], is_start=begin == 0)

    def state_dict(self) -> Dict[str, Any]:
        """The position, as plain numbers that fit in JSON: the same for every rank."""
        return {"settings": self._settings, "epoch": self._epoch, "place": self._place, "step": self._step}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was called.

        RAISES: G907 (ValueError) if it was called with another corpus or other settings.
        """
        for name, expected in self._settings.items():
            found = state["settings"].get(name)
            if found != expected:
                raise ValueError(Errors.G907.format(name=name, found=found, expected=expected))
        self._epoch, self._place, self._step = state["epoch"], state["place"], state["step"]

    @property
    def _settings(self) -> Dict[str, Any]:
        names = ("batch_size", "unroll", "vary", "seed")
        return {"corpus": self.corpus.fingerprint, **{name: getattr(self, name) for name in names}}

    def _draw(self) -> int:
        """The length of this window."""
        if not self.vary:
            return self.unroll
        rng = np.random.default_rng((_LENGTHS, self.seed, self._step))
        mean = self.unroll / 2 if rng.random() < _SHARE_OF_HALVES else self.unroll
        return max(_SHORTEST, int(rng.normal(mean, _DEVIATION)))


class EvalTextStreams:
    """A running text once, every word of it: few columns, each at least 100 windows long, so that nearly all words are
    scored with what the text before them has left in the model's state. With one column that is so for all of them.

    Source: Melis et al. 2020, who shrink the batch of an evaluation likewise.

    corpus (Sentences): Usually the "dev" split of a `SentenceCorpus`.
    batch_size (int): Columns at most.
    unroll (int): Words per column and window; it does not move the result.
    max_tokens (Optional[int]): Only so many words from the beginning, ends included. None: all of them.
    YIELDS (EvalTextWindow): Arrays of shape (columns, window). Their masks have as many positions as there are words.
    RAISES: G908 (ValueError) for a value outside its range.
    """

    def __init__(
        self, corpus: Sentences, *, batch_size: int, unroll: int = 35, max_tokens: Optional[int] = None
    ) -> None:
        _check_positive(batch_size=batch_size, unroll=unroll, max_tokens=1 if max_tokens is None else max_tokens)
        self.corpus = corpus
        self.unroll = unroll
        self._text = RunningText(corpus)
        self.n_words = len(self._text) if max_tokens is None else min(max_tokens, len(self._text))
        self.n_columns = max(1, min(batch_size, self.n_words // (_WINDOWS_PER_COLUMN * unroll)))

    def __iter__(self) -> Iterator[EvalTextWindow]:
        height = -(-self.n_words // self.n_columns)
        starts = [height * column for column in range(self.n_columns)]
        for place in range(0, height, self.unroll):
            stop = min(place + self.unroll, height)
            rows: List[_Ids] = []
            for start in starts:
                begin, end = (min(start + offset, self.n_words) for offset in (place, stop))
                rows.append(np.pad(self._text.window(begin, end), ((0, 0), (0, stop - place - (end - begin)))))
            ids = torch.from_numpy(np.stack(rows, axis=1))  # (2, columns, window)
            places = torch.arange(place, stop) + torch.tensor(starts)[:, None]
            yield EvalTextWindow(ids[0], ids[1], mask=places < self.n_words)


def _copy(shard: Shard, begin: int, window: _Ids) -> None:
    """Fill a window with the line's ids from a place of a shard on. Its ends stand there already."""
    end = begin + len(window)
    first, last = _ends_before(shard, begin), _ends_before(shard, end)
    ends = (
        np.asarray(shard.offsets[first + 1 : last + 1]) + np.arange(first, last) - begin
    )  # their places in the window
    is_word = np.ones(len(window), dtype=bool)
    is_word[ends] = False
    window[is_word] = shard.ids[begin - first : end - last]
    window[ends] = _END


def _ends_before(shard: Shard, place: int) -> int:
    """How many sentences end before a place of the shard's line. The end of sentence i stands at offsets[i + 1] + i."""
    offsets = shard.offsets
    return bisect_left(range(len(shard)), place, key=lambda index: int(offsets[index + 1]) + index)


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(Errors.G908.format(name=name, expected="at least 1", value=value))
