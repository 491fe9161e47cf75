"""The documents of a corpus, or its sentences, in the order in which training reads them."""

from typing import Dict, NamedTuple

import numpy as np

from .shards import ShardedCorpus


class Unread(NamedTuple):
    """What is left of one document: where the next window begins and where the document ends in its shard."""

    shard: int
    begin: int
    end: int


class DocumentQueue:
    """All documents, epoch after epoch, in shuffled order; holds one shard's order at a time."""

    def __init__(self, corpus: ShardedCorpus, *, seed: int) -> None:
        self.corpus = corpus
        self.seed = seed
        self.epoch = 0
        self.n_given = 0  # tokens of the documents given out in this epoch
        self._place = 0  # in the epoch's order of shards
        self._next = 0  # in the shard's order of documents
        self._open()

    def take(self) -> Unread:
        """The next document, unread."""
        while self._next == len(self._order):
            self._advance()
        document = self._order[self._next]
        self._next += 1
        begin, end = int(self._offsets[document]), int(self._offsets[document + 1])
        self.n_given += end - begin
        return Unread(shard=self._shard, begin=begin, end=end)

    def state_dict(self) -> Dict[str, int]:
        return {"epoch": self.epoch, "place": self._place, "next": self._next, "n_given": self.n_given}

    def load_state_dict(self, state: Dict[str, int]) -> None:
        self.epoch, self._place = state["epoch"], state["place"]
        self._open()
        self._next, self.n_given = state["next"], state["n_given"]

    def _advance(self) -> None:
        self._place += 1
        if self._place == len(self.corpus.shard_names):
            self.epoch, self._place, self.n_given = self.epoch + 1, 0, 0
        self._next = 0
        self._open()

    def _open(self) -> None:
        self._shard = self.corpus.shard_order(seed=self.seed, epoch=self.epoch)[self._place]
        self._order = self.corpus.document_order(self._shard, seed=self.seed, epoch=self.epoch)
        self._offsets = np.array(self.corpus.shard(self._shard).offsets)
