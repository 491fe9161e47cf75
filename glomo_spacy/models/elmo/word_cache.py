"""Token vectors of words seen before, so that the character network runs once per word.

The network takes most of a small model's time, and running text repeats its words. The cache empties itself when the
parameters change that it was filled from, or the precision.
"""

from threading import RLock
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from ..derived import ParameterWatch
from ..precision import precisions

MAX_WORDS = 1 << 16
_FIRST_ROWS = 1 << 10
_LONGEST = 100  # letters; what is longer is rare and only fills the memory

Encode = Callable[[List[str]], Tensor]


class WordCache:
    """A bounded table of token vectors by word; what has not been used for longest makes room.

    Only for evaluation without gradient. Threads may share it. Copies and pickles begin empty.

    max_words (int): Words kept at most, 4 * projection bytes each. 0: none.
    """

    def __init__(self, max_words: int = MAX_WORDS) -> None:
        self.max_words = max_words
        self._lock = RLock()
        self.clear()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, word: str) -> bool:
        return word in self._rows

    def __reduce__(self) -> Tuple[Any, Tuple[int]]:
        return WordCache, (self.max_words,)

    def clear(self) -> None:
        """Forget all words."""
        with self._lock:
            self._rows: Dict[str, int] = {}
            self._words: List[str] = []  # by row
            self._last_used = np.zeros(0, dtype=np.int64)  # by row: in which call
            self._n_calls = 0
            self._table: Optional[Tensor] = None
            self._source: Optional[ParameterWatch] = None
            self._precisions: List[str] = []

    def vectors(self, words: Sequence[str], encoder: nn.Module, encode: Encode) -> Tensor:
        """Look words up and encode those that are not there.

        words (Sequence[str]): Different words.
        encoder (nn.Module): Whose parameters the vectors depend on.
        encode (Encode): Gives the vectors of words, in order.
        RETURNS (Tensor): Shape: (words, projection).
        """
        if not self.max_words:
            return encode(list(words))
        with self._lock:
            parameters, in_use = list(encoder.parameters()), precisions(encoder)
            if self._source is None or self._precisions != in_use or not self._source.is_unchanged(parameters):
                self.clear()
                self._source, self._precisions = ParameterWatch(parameters), in_use
            source, known, found = self._source, *self._look_up(words)
        missing = [word for word, is_known in zip(words, known) if not is_known]
        if not missing and found is not None:
            return found
        encoded = encode(missing)
        with self._lock:
            if source is self._source:  # else the parameters changed meanwhile
                self._store(missing, encoded)
        if found is None:
            return encoded
        vectors = encoded.new_empty(len(words), encoded.shape[1])
        is_known = torch.from_numpy(known).to(encoded.device)
        vectors[is_known], vectors[~is_known] = found, encoded
        return vectors

    def _look_up(self, words: Sequence[str]) -> Tuple[Any, Optional[Tensor]]:
        """Which words are known, (words,), and the vectors of those, (known words, projection), if any is."""
        self._n_calls += 1
        rows = np.asarray([self._rows.get(word, -1) for word in words], dtype=np.int64)
        known = rows >= 0
        if self._table is None or not known.any():
            return known, None
        self._last_used[rows[known]] = self._n_calls
        return known, self._table[torch.from_numpy(rows[known]).to(self._table.device)]

    def _store(self, words: Sequence[str], vectors: Tensor) -> None:
        places = [place for place, word in enumerate(words) if word not in self._rows and len(word) <= _LONGEST][
            : self.max_words
        ]
        rows = self._make_room(len(places), vectors)
        for row, place in zip(rows, places):
            self._rows[words[place]] = row
            self._words[row] = words[place]
        if self._table is not None and places:
            self._table[rows] = vectors[places]

    def _make_room(self, n_words: int, vectors: Tensor) -> List[int]:
        """Rows for new words: unused ones, then those of the words that were asked for longest ago."""
        n_before = len(self._words)
        fresh = list(range(n_before, min(n_before + n_words, self.max_words)))
        self._words += [""] * len(fresh)
        self._last_used = np.append(self._last_used, np.full(len(fresh), self._n_calls))
        self._grow(vectors)
        n_more = n_words - len(fresh)
        if not n_more:
            return fresh
        freed: List[int] = np.argpartition(self._last_used[:n_before], n_more - 1)[:n_more].tolist()
        self._last_used[freed] = self._n_calls
        for row in freed:
            del self._rows[self._words[row]]
        return fresh + freed

    def _grow(self, vectors: Tensor) -> None:
        """Let the table have a row for each word, doubling it at least."""
        n_rows = 0 if self._table is None else len(self._table)
        if len(self._words) <= n_rows:
            return
        wanted = min(max(len(self._words), 2 * n_rows, _FIRST_ROWS), self.max_words)
        table = vectors.new_empty(wanted, vectors.shape[1])
        if self._table is not None:
            table[:n_rows] = self._table
        self._table = table
