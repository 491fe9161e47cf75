"""Windows of token ids for training and evaluation, cut from the documents of a prepared corpus.

Source: the data loader of Yang et al. 2018: parallel streams, each reading one document after the other, with a window
length and a stride drawn anew for every batch.
"""

from typing import Any, Dict, Iterator, List, Tuple

import numpy as np
import torch
from torch import Tensor

from ..errors import Errors
from .document_queue import DocumentQueue, Unread
from .shards import Shard, ShardedCorpus

_SHRINK = 1.4  # windows are bptt * 1.4^u long with u uniform in [-2, 0]: between 51 and 100 % of bptt
_JITTER = 10  # strides differ from `shift` by at most this many tokens
_DRAWS = 3  # keeps these random numbers apart from the shuffles in shards.py under one seed


class RandomWindows:
    """Training batches without end: windows of random length from parallel streams of documents.

    Each batch draws one window length `floor(bptt * 1.4^u)`, u ~ U[-2, 0], and one stride `shift + randint(-10, 10)`.
    Every stream takes a window from its document and then drops a stride, so that windows overlap; it moves on to the
    next document when fewer tokens than a window remain. All streams share one queue of documents. Rows are never
    padded. Random numbers depend on the seed and the batch's number alone, so a position is a handful of integers.

    Differs from the source: documents within a shard are shuffled too, and when the queue runs empty it starts the next
    epoch without dropping what other streams still hold.

    corpus (ShardedCorpus): Where documents come from.
    batch_size (int): Streams, over all processes together. Published: 32.
    bptt (int): Longest window, in tokens. Published: 200.
    shift (int): Mean stride, in tokens. Published: 100.
    seed (int): Order of documents, lengths and strides. At least 0.
    rank (int): Which process this is. It yields its own rows of the batch that a single process would see whole.
    world_size (int): Processes that share the batch; must divide `batch_size`.
    vary (bool): Draw lengths and strides. False: exactly `bptt` and `shift`.
    YIELDS (Tensor): Token ids, int64. Shape: (batch_size / world_size, window).
    RAISES: G906 (ValueError) if no document is as long as a window; G908 for a value outside its range.
    """

    def __init__(
        self,
        corpus: ShardedCorpus,
        *,
        batch_size: int,
        bptt: int = 200,
        shift: int = 100,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        vary: bool = True,
    ) -> None:
        _check_positive(batch_size=batch_size, bptt=bptt, shift=shift)
        if batch_size % world_size:
            expected = f"a multiple of the {world_size} processes"
            raise ValueError(Errors.G908.format(name="batch_size", expected=expected, value=batch_size))
        if corpus.longest_document < bptt:
            path, longest = corpus.directory, corpus.longest_document
            raise ValueError(Errors.G906.format(path=path, bptt=bptt, longest=longest))
        self.corpus = corpus
        self.batch_size = batch_size
        self.bptt = bptt
        self.shift = shift
        self.seed = seed
        self.vary = vary
        rows = batch_size // world_size
        self._own_rows = range(rank * rows, (rank + 1) * rows)
        self._step = 0
        self._queue = DocumentQueue(corpus, seed=seed)
        self._streams = [Unread(shard=0, begin=0, end=0) for _ in range(batch_size)]
        self._shards: Dict[int, Shard] = {}  # those that this process reads from now

    @property
    def epoch(self) -> float:
        """Passes over the corpus so far, counting a document once a stream has begun it."""
        return self._queue.epoch + self._queue.n_given / self.corpus.n_tokens

    def __iter__(self) -> Iterator[Tensor]:
        return self

    def __next__(self) -> Tensor:
        length, stride = self._draw()
        rows: List[np.ndarray] = []
        for index, stream in enumerate(self._streams):
            while stream.end - stream.begin < length:
                stream = self._queue.take()
            if index in self._own_rows:
                rows.append(self._read(stream, length=length))
            self._streams[index] = stream._replace(begin=min(stream.begin + stride, stream.end))
        self._step += 1
        self._close_unused_shards()
        return torch.from_numpy(np.stack(rows).astype(np.int64))  # (batch_size / world_size, length)

    def state_dict(self) -> Dict[str, Any]:
        """The position, as plain numbers that fit in JSON: the same for every rank."""
        return {
            "settings": self._settings,
            "step": self._step,
            "queue": self._queue.state_dict(),
            "streams": [list(stream) for stream in self._streams],
        }

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was called.

        RAISES: G907 (ValueError) if it was called with another corpus or other settings.
        """
        for name, expected in self._settings.items():
            found = state["settings"].get(name)
            if found != expected:
                raise ValueError(Errors.G907.format(name=name, found=found, expected=expected))
        self._step = state["step"]
        self._queue.load_state_dict(state["queue"])
        self._streams = [Unread(*stream) for stream in state["streams"]]

    @property
    def _settings(self) -> Dict[str, Any]:
        return {
            "corpus": self.corpus.fingerprint,
            "batch_size": self.batch_size,
            "bptt": self.bptt,
            "shift": self.shift,
            "seed": self.seed,
            "vary": self.vary,
        }

    def _draw(self) -> Tuple[int, int]:
        """Window length and stride of this batch."""
        if not self.vary:
            return self.bptt, self.shift
        rng = np.random.default_rng((_DRAWS, self.seed, self._step))
        length = int(self.bptt * _SHRINK ** rng.uniform(-2, 0))
        stride = self.shift + int(rng.integers(-_JITTER, _JITTER, endpoint=True))
        return max(1, length), max(1, stride)  # guards for tiny settings only

    def _read(self, stream: Unread, *, length: int) -> np.ndarray:
        if stream.shard not in self._shards:
            self._shards[stream.shard] = self.corpus.shard(stream.shard)
        return self._shards[stream.shard].ids[stream.begin : stream.begin + length]

    def _close_unused_shards(self) -> None:
        """Let go of mapped files that no stream of ours reads, so that memory does not grow with the corpus."""
        if len(self._shards) > 1:
            used = {self._streams[index].shard for index in self._own_rows}
            self._shards = {index: shard for index, shard in self._shards.items() if index in used}


class EvalWindows:
    """All windows of a corpus, in its order, each of them once.

    A document gives windows at 0, shift, 2 * shift … until one reaches its end, so every token is seen; documents
    shorter than a window give one short window. Fixes two faults of the source, which carried the offset over into the
    next document and dropped an incomplete last batch.

    corpus (ShardedCorpus): Usually the "dev" split.
    batch_size (int): Windows per batch.
    bptt (int): Tokens per window.
    shift (int): Tokens from one window's begin to the next one's, at most `bptt`.
    YIELDS (Tuple[Tensor, Tensor]): Token ids (int64, padded at the right with 0) and mask (bool, true = real token).
        Shape of both: (batch, seq), where seq is the longest window of the batch.
    RAISES: G908 (ValueError) for a value outside its range.
    """

    def __init__(self, corpus: ShardedCorpus, *, batch_size: int, bptt: int = 200, shift: int = 100) -> None:
        _check_positive(batch_size=batch_size, bptt=bptt, shift=shift)
        if shift > bptt:
            raise ValueError(Errors.G908.format(name="shift", expected=f"at most bptt = {bptt}", value=shift))
        self.corpus = corpus
        self.batch_size = batch_size
        self.bptt = bptt
        self.shift = shift

    @property
    def n_windows(self) -> int:
        """Windows in the whole corpus."""
        total = 0
        for index in range(len(self.corpus.shard_names)):
            lengths = np.diff(self.corpus.shard(index).offsets)
            further = -(-(lengths - self.bptt).clip(min=0) // self.shift)
            total += int(((lengths > 0) + further).sum())
        return total

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self.n_windows // self.batch_size)

    def __iter__(self) -> Iterator[Tuple[Tensor, Tensor]]:
        rows: List[np.ndarray] = []
        for window in self._windows():
            rows.append(window)
            if len(rows) == self.batch_size:
                yield _pad(rows)
                rows = []
        if rows:
            yield _pad(rows)

    def _windows(self) -> Iterator[np.ndarray]:
        for document in self.corpus.documents():
            for begin in range(0, len(document), self.shift):
                yield document[begin : begin + self.bptt]
                if begin + self.bptt >= len(document):
                    break


def _pad(rows: List[np.ndarray]) -> Tuple[Tensor, Tensor]:
    """Stack windows of different lengths. Returns ids and mask, both of shape (batch, longest window)."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, dtype=np.int64)
    ids[mask] = np.concatenate(rows)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(Errors.G908.format(name=name, expected="at least 1", value=value))
