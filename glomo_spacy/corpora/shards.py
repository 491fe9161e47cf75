"""A corpus of token ids on disk: one directory with shards, vocabulary and a record of how it was made.

This is the format of running text; `sentence_shards.py` has that of sentences.

corpus.json            format, indexer, sizes of each split, sources, SHA-256 of each file
vocab.txt counts.txt   one word per line, and its count in the training text
train-00000.ids.npy    uint16 or uint32, all documents of the shard one after the other
train-00000.docs.npy   int64 offsets, one more than there are documents
dev-00000.…            the held-out split
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from ..files import PathLike
from ..indexers import WordIndexer

FORMAT_VERSION = 1
RECORD_NAME = "corpus.json"
VOCABULARY_NAME = "vocab.txt"
COUNTS_NAME = "counts.txt"
IDS_SUFFIX = ".ids.npy"
OFFSETS_SUFFIX = ".docs.npy"

_BLOCK = 1 << 22  # ids checked at a time
_SHARDS, _DOCUMENTS = 1, 2  # keep the two kinds of shuffles apart under one seed


class Shard:
    """One pair of files: token ids and where documents begin in them. Mapped from disk, not read into memory.

    directory (Path): The corpus directory.
    name (str): Such as "train-00000".
    RAISES: G902 if a file is missing, cut or not an array of whole numbers.
    """

    def __init__(self, directory: Path, *, name: str) -> None:
        self.name = name
        self.ids = _load_array(directory / f"{name}{IDS_SUFFIX}", kind="u")
        self.offsets = _load_array(directory / f"{name}{OFFSETS_SUFFIX}", kind="i")

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1

    def document(self, index: int) -> npt.NDArray[np.int64]:
        """Token ids of one document. Shape: (tokens,)."""
        return np.asarray(self.ids[self.offsets[index] : self.offsets[index + 1]], dtype=np.int64)


class ShardedCorpus:
    """One split of a prepared corpus. Memory does not grow with its size: a shard is open while it is read.

    directory (PathLike): As `prepare` wrote it.
    split (str): "train" or "dev".
    RAISES: G902-G905 if it is not a corpus directory, is of another version, has no such split, or is damaged: a file
        missing or cut, sizes that differ from `corpus.json`, an id beyond the vocabulary; G920 if it is of another
        format. All ids are read once here.
    """

    format = "documents"
    _units = "documents"  # what the offsets divide, by its name in the record

    def __init__(self, directory: PathLike, *, split: str = "train") -> None:
        self.directory = Path(directory)
        self.split = split
        self.record = read_record(self.directory)
        if (found := self.record.get("format", ShardedCorpus.format)) != self.format:
            raise ValueError(Errors.G920.format(path=self.directory, found=found, expected=self.format))
        if split not in self.record["splits"]:
            known = ", ".join(self.record["splits"])
            raise ValueError(Errors.G905.format(path=self.directory, split=split, known=known))
        sizes = self.record["splits"][split]
        self.n_tokens: int = sizes["tokens"]
        self.n_documents: int = sizes[self._units]
        self.shard_names: Tuple[str, ...] = tuple(sizes["shards"])
        self.words = read_words(self.directory / VOCABULARY_NAME)
        self.longest_document = 0
        self._check()

    @property
    def indexer(self) -> WordIndexer:
        """The indexer that made these ids: its `config` is the `[indexer]` section of a checkpoint trained on them."""
        return WordIndexer.from_config(self.record["indexer"], self.words)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How often each word stands in the training split, in the order of ids. Shape: (vocab,)."""
        return read_counts(self.directory / COUNTS_NAME)

    @property
    def fingerprint(self) -> str:
        """A name for exactly these ids, the same on every machine: training state tells by it that it fits."""
        sums = {name: value for name, value in self.record["sha256"].items() if name.startswith(f"{self.split}-")}
        return sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]

    def shard(self, index: int) -> Shard:
        """Open one shard."""
        return Shard(self.directory, name=self.shard_names[index])

    def shard_order(self, *, seed: int, epoch: int) -> List[int]:
        """The shards in the order of an epoch: shuffled anew for each, the same for the same seed."""
        rng = np.random.default_rng((_SHARDS, seed, epoch))
        return rng.permutation(len(self.shard_names)).tolist()

    def document_order(self, shard: int, *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """The documents of a shard in the order of an epoch. Shape: (documents,)."""
        rng = np.random.default_rng((_DOCUMENTS, seed, epoch, shard))
        return rng.permutation(len(self.shard(shard)))

    def documents(self, *, seed: Optional[int] = None, epoch: int = 0) -> Iterator[npt.NDArray[np.int64]]:
        """Iterate over the token ids of all documents once.

        seed (Optional[int]): Shuffle shards, and documents within them. None: the order of the text.
        epoch (int): Which shuffle.
        YIELDS (ndarray): Token ids of a document. Shape: (tokens,).
        """
        in_order = range(len(self.shard_names))
        for index in in_order if seed is None else self.shard_order(seed=seed, epoch=epoch):
            shard = self.shard(index)
            order = range(len(shard)) if seed is None else self.document_order(index, seed=seed, epoch=epoch)
            for document in order:
                yield shard.document(int(document))

    @property
    def _n_ids(self) -> int:
        """All ids are lower."""
        return self.record["n_words"]

    def _check(self) -> None:
        n_words = self.record["n_words"]
        if len(self.words) != n_words or len(self.counts) != n_words:
            reason = f"{VOCABULARY_NAME} and {COUNTS_NAME} must have {n_words} lines"
            raise ValueError(Errors.G902.format(path=self.directory, reason=reason))
        n_tokens = n_documents = 0
        for name in self.shard_names:
            shard = Shard(self.directory, name=name)
            lengths = _document_lengths(shard, path=self.directory / name, n_ids=self._n_ids)
            n_tokens += len(shard.ids)
            n_documents += len(shard)
            self.longest_document = max(self.longest_document, int(lengths.max(initial=0)))
        if (n_tokens, n_documents) != (self.n_tokens, self.n_documents):
            reason = f"{n_documents} documents of {n_tokens} tokens, not {self.n_documents} of {self.n_tokens}"
            raise ValueError(Errors.G902.format(path=self.directory, reason=reason))


def read_record(directory: PathLike) -> Dict[str, Any]:
    """Read `corpus.json`.

    RAISES: G903 if there is none; G904 if it is of another format version; G902 if it cannot be read.
    """
    path = Path(directory) / RECORD_NAME
    if not path.is_file():
        raise FileNotFoundError(Errors.G903.format(path=directory, missing=RECORD_NAME))
    try:
        record = json.loads(path.read_text("utf8"))
        version = record["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(Errors.G902.format(path=path, reason="not a whole record")) from error
    if version != FORMAT_VERSION:
        raise ValueError(Errors.G904.format(path=path, found=version, expected=FORMAT_VERSION))
    return record


def read_words(path: Path) -> List[str]:
    """The lines of a vocabulary file.

    RAISES: G902 if it is missing or not UTF-8 text.
    """
    _check_exists(path)
    try:
        text = path.read_text("utf8")
    except UnicodeDecodeError as error:
        raise ValueError(Errors.G902.format(path=path, reason=f"not UTF-8 text ({error})")) from error
    return text.removesuffix("\n").split("\n")  # other line ends may be part of a word


def read_counts(path: Path) -> npt.NDArray[np.int64]:
    """The whole numbers of a file, one per line. Shape: (lines,).

    RAISES: G902 if it is missing or holds anything else.
    """
    _check_exists(path)
    try:
        return np.asarray(path.read_text("utf8").split(), dtype=np.int64)
    except ValueError as error:
        raise ValueError(Errors.G902.format(path=path, reason=f"not one number per line ({error})")) from error


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(Errors.G902.format(path=path.parent, reason=f"{path.name} is missing"))


def _load_array(path: Path, *, kind: str) -> npt.NDArray[Any]:
    """Map an array of signed ("i") or unsigned ("u") whole numbers."""
    _check_exists(path)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(Errors.G902.format(path=path, reason=f"no whole array ({error})")) from error
    if array.ndim != 1 or array.dtype.kind != kind:
        raise ValueError(Errors.G902.format(path=path, reason=f"{array.dtype} of rank {array.ndim}"))
    return array


def _document_lengths(shard: Shard, *, path: Path, n_ids: int) -> npt.NDArray[np.int64]:
    """Check a shard and return its documents' lengths. Shape: (documents,)."""
    lengths = np.diff(shard.offsets)
    if not len(shard.offsets) or shard.offsets[0] != 0 or shard.offsets[-1] != len(shard.ids) or (lengths < 0).any():
        raise ValueError(Errors.G902.format(path=path, reason="the offsets do not fit the ids"))
    for start in range(0, len(shard.ids), _BLOCK):
        highest = int(shard.ids[start : start + _BLOCK].max())
        if highest >= n_ids:
            reason = f"id {highest} is beyond the {n_ids} words"
            raise ValueError(Errors.G902.format(path=path, reason=reason))
    return lengths
