"""Windows of running text as a biLM takes them: each different word of a batch is spelled, and encoded, once."""

from typing import List, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from ...indexers import CharIndexer, Indexer, VocabularyIndexer

# The longest words, their two marks included, of the groups that are spelled together: long words are rare, and every
# word of a group costs as much as its longest one.
_GROUPS = (6, 8, 11, 15)


class Windows(NamedTuple):
    """One batch of windows; each direction in its own reading order.

    words (List[Tensor]): Per direction the place of each input word among `units`. Shape: (batch, seq).
    targets (List[Tensor]): Per direction the id of the word that follows. Shape: (batch, seq).
    units (List[Tensor]): The different words of the batch, each once, in groups: character ids (words, chars), trimmed
        to the longest word of the group; or word ids (words,). Places count through all groups.
    """

    words: List[Tensor]
    targets: List[Tensor]
    units: List[Tensor]


class WindowMaker:
    """Turn ids of word types into what a biLM reads and predicts.

    types (Sequence[str]): Every word of the text, once; the first `n_words` are the soft-max's vocabulary. They are all
        spelled here: 100 bytes a word.
    n_words (int): Words that can be predicted; a later one counts as `<UNK>`, but keeps its own spelling.
    indexer (Indexer): Of the model: how its token encoder reads words.
    """

    def __init__(self, types: Sequence[str], *, n_words: int, indexer: Indexer) -> None:
        self.n_words, self.unknown_id = n_words, VocabularyIndexer.unknown_id
        self.has_characters = isinstance(indexer, CharIndexer)
        self._table = indexer.ids(types)  # (types, max_characters) or (types,)
        if isinstance(indexer, CharIndexer):
            self._lengths = (self._table != indexer.padding).sum(1)  # (types,)

    def windows(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Windows:
        """Make a batch.

        inputs, targets (Sequence[Tensor]): Per direction type ids. Shape: (batch, seq).
        RETURNS (Windows): Tensors on the CPU.
        """
        types, places = np.unique(torch.stack(list(inputs)).numpy(), return_inverse=True)
        if self.has_characters:
            order = np.argsort(self._lengths[types], kind="stable")
            types, rank = types[order], np.argsort(order, kind="stable")
            places = rank[places]
        words = torch.from_numpy(places.reshape(len(inputs), *inputs[0].shape))
        known = [ids.masked_fill(ids >= self.n_words, self.unknown_id) for ids in targets]
        return Windows(list(words), known, self._units(types))

    def _units(self, types: "np.ndarray") -> List[Tensor]:
        """The units of types in ascending order of length, a tensor per group."""
        if not self.has_characters:
            return [torch.from_numpy(self._table[types])]
        lengths = self._lengths[types]
        edges = [0, *np.searchsorted(lengths, _GROUPS, side="right").tolist(), len(types)]
        groups = [slice(begin, end) for begin, end in zip(edges, edges[1:]) if begin < end]
        rows = [self._table[types[group], : lengths[group][-1]] for group in groups]
        return [torch.from_numpy(row.astype(np.int64)) for row in rows]
