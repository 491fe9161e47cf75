"""Windows of running text as a biLM takes them: each different word of a batch is spelled, and encoded, once."""

from typing import Any, List, NamedTuple, Optional, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...indexers import CharIndexer, Indexer, VocabularyIndexer


class Windows(NamedTuple):
    """One batch of windows; each direction in its own reading order.

    words (List[Tensor]): Per direction the place of each input word among `units`. Shape: (batch, seq).
    targets (List[Tensor]): Per direction the id of the word that follows. Shape: (batch, seq).
    units (Tensor): The different words of the batch, each once: character ids (words, chars), trimmed to the longest
        word; or word ids (words,).
    """

    words: List[Tensor]
    targets: List[Tensor]
    units: Tensor

    def to(self, device: torch.device) -> "Windows":
        """The same on another device."""
        words, targets = ([tensor.to(device) for tensor in part] for part in (self.words, self.targets))
        return Windows(words, targets, self.units.to(device))


class WindowMaker:
    """Turn ids of word types into what a biLM reads and predicts.

    types (Sequence[str]): Every word of the text, once, after `<S>`, `</S>` and `<UNK>`. They are all spelled here: 100
        bytes a word.
    words (Sequence[str]): The soft-max's vocabulary. Other types count as `<UNK>` there, but keep their own spelling.
    indexer (Indexer): Of the model: how its token encoder reads words.
    RAISES: ValueError G016 for a vocabulary without the specials.
    """

    def __init__(self, types: Sequence[str], *, words: Sequence[str], indexer: Indexer) -> None:
        self.end_id, self.unknown_id = VocabularyIndexer.end_sentence, VocabularyIndexer.unknown_id
        self._targets = torch.from_numpy(VocabularyIndexer(words).ids(types))  # (types,)
        self._table: npt.NDArray[Any] = indexer.ids(types)  # (types, max_characters) or (types,)
        self._lengths: Optional[npt.NDArray[np.int64]] = None
        if isinstance(indexer, CharIndexer):
            self._lengths = (self._table != indexer.padding).sum(1)  # (types,)

    def windows(self, inputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Windows:
        """Make a batch.

        inputs, targets (Sequence[Tensor]): Per direction type ids. Shape: (batch, seq).
        RETURNS (Windows): Tensors on the CPU.
        """
        types, places = np.unique(torch.stack(list(inputs)).numpy(), return_inverse=True)
        words = torch.from_numpy(places.reshape(len(inputs), *inputs[0].shape))
        return Windows(list(words), [self._targets[ids] for ids in targets], self._units(types))

    def _units(self, types: npt.NDArray[np.int64]) -> Tensor:
        units = self._table[types]  # (types, max_characters) or (types,)
        if self._lengths is not None:
            units = units[:, : self._lengths[types].max(initial=1)]
        return torch.from_numpy(units.astype(np.int64))
