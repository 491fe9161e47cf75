"""A corpus of sentences on disk: one directory, as in `shards.py`, whose ids keep the spelling of every token.

corpus.json            format "sentences", sizes of each split, sources, SHA-256 of each file
types.txt              <S>, </S>, <UNK>, then every distinct token by falling training count; the place is the id
vocab.txt counts.txt   its first words, those that a softmax can name, and their training counts
alphabet.txt           characters by falling training count, if they were asked for
train-00000.ids.npy    uint32, all sentences of the shard one after the other, without marks
train-00000.docs.npy   int64 offsets, one more than there are sentences
dev-00000.…            the held-out split
"""

import json
from hashlib import sha256
from typing import Dict, List, Optional, Type

from ..errors import Errors
from ..files import PathLike
from ..indexers import VocabularyIndexer
from .shards import VOCABULARY_NAME, ShardedCorpus, read_record, read_words

TYPES_NAME = "types.txt"
ALPHABET_NAME = "alphabet.txt"


class SentenceCorpus(ShardedCorpus):
    """One split of a corpus of sentences; each document of the base class is one sentence here.

    An id below `n_words` is also the id of the softmax. A higher one is `<UNK>` as a target, but has its own spelling
    as input. Memory holds the distinct tokens; shards stay on disk.

    directory (PathLike): As `prepare --format sentences` wrote it.
    split (str): "train" or "dev".
    RAISES: As `ShardedCorpus`.
    """

    format = "sentences"
    _units = "sentences"

    def __init__(self, directory: PathLike, *, split: str = "train") -> None:
        super().__init__(directory, split=split)
        self.types = read_words(self.directory / TYPES_NAME)
        if len(self.types) != self._n_ids or self.types[: len(self.words)] != self.words:
            reason = f"{TYPES_NAME} must have {self._n_ids} lines, the first of them those of {VOCABULARY_NAME}"
            raise ValueError(Errors.G902.format(path=self.directory, reason=reason))

    @property
    def n_sentences(self) -> int:
        """Sentences of the split."""
        return self.n_documents

    @property
    def n_words(self) -> int:
        """Words of the vocabulary, the three special ones included."""
        return len(self.words)

    @property
    def n_predictions(self) -> int:
        """What one direction predicts in a pass: each token, and the end of each sentence."""
        return self.n_tokens + self.n_sentences

    @property
    def alphabet(self) -> Optional[List[str]]:
        """The learned characters, most frequent first, or None: bytes."""
        path = self.directory / ALPHABET_NAME
        return read_words(path) if self.record.get("alphabet") else None

    @property
    def indexer(self) -> VocabularyIndexer:  # type: ignore[override]  # the same role, other rules
        """The indexer of the vocabulary: the targets of the softmax."""
        return VocabularyIndexer(self.words, lang=self.record["lang"])

    @property
    def fingerprint(self) -> str:
        """A name for exactly these sentences, the same on every machine: training state tells by it that it fits."""
        sums = self.record["sha256"]
        parts = [super().fingerprint, sums[TYPES_NAME], sums[VOCABULARY_NAME]]
        return sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def _n_ids(self) -> int:
        return self.record["n_types"]


def open_corpus(directory: PathLike, *, split: str = "train") -> ShardedCorpus:
    """Open a split of a corpus of whichever format.

    RAISES: As `ShardedCorpus`; G904 for a format that is not known.
    """
    known: Dict[str, Type[ShardedCorpus]] = {kind.format: kind for kind in (ShardedCorpus, SentenceCorpus)}
    found = read_record(directory).get("format", ShardedCorpus.format)
    if found not in known:
        raise ValueError(Errors.G904.format(path=directory, found=found, expected=" or ".join(known)))
    return known[found](directory, split=split)
