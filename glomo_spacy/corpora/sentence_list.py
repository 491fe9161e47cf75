"""Sentences in memory with the face of a prepared corpus: text that is read once, such as a file to be measured."""

from typing import Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ..indexers.vocabulary import SPECIALS, UNKNOWN
from .shards import Shard


class SentenceList:
    """Token lists as ids of types: what a `SentenceCorpus` has on disk, in one shard.

    sentences (Iterable[Sequence[str]]): Tokens. Sentences without any are left out, as by `prepare`.
    unknown (Optional[str]): A token that stands for unknown words in the text, such as `<unk>`. None: there is none.
    """

    shard_names: Tuple[str, ...] = ("memory",)

    def __init__(self, sentences: Iterable[Sequence[str]], *, unknown: Optional[str] = None) -> None:
        numbers: Dict[str, int] = {word: number for number, word in enumerate(SPECIALS)}
        lists: List[npt.NDArray[np.int64]] = []
        for sentence in filter(None, sentences):
            words = [UNKNOWN if word == unknown else word for word in sentence]
            lists.append(np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64))
        self.types = list(numbers)
        self._shard = _MemoryShard(lists)

    @property
    def n_predictions(self) -> int:
        """What a model predicts in a pass: each token, and the end of each sentence."""
        return len(self._shard.ids) + len(self._shard)

    def documents(self) -> Iterator[npt.NDArray[np.int64]]:
        """The ids of each sentence. Shape: (tokens,)."""
        return map(self._shard.document, range(len(self._shard)))

    def shard(self, index: int) -> Shard:
        """The only one."""
        return self._shard


class _MemoryShard(Shard):
    """A shard without files."""

    def __init__(self, lists: Sequence[npt.NDArray[np.int64]]) -> None:
        self.name = SentenceList.shard_names[0]
        self.ids = np.concatenate([np.zeros(0, dtype=np.int64), *lists])
        self.offsets = np.cumsum([0, *map(len, lists)])
