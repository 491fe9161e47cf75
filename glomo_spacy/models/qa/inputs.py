"""What a reader looks up of a word, once for each different word of a corpus: its vector's row and its characters.

Source: the preprocessing of kimiyoung/glomo's reader: vectors by the exact, lower, capitalised or upper form, whichever
is known first; words cut at 16 characters.
"""

from typing import Any, Dict, Optional, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...indexers import UNKNOWN_WORD, WordIndexer
from .characters import NOTHING, UNKNOWN
from .config import N_RESERVED_CHARACTERS, ReaderConfig
from .side import Side


def reader_indexer(words: Sequence[str], *, lang: str) -> WordIndexer:
    """How words become rows of a reader's table.

    words (Sequence[str]): The words that have a vector.
    lang (str): Language of the tokeniser whose tokens are looked up.
    RETURNS (WordIndexer): Over these words and, as the last row, `<unk>`, whose vector is 0.
    RAISES: ValueError G001 if a word stands twice or is `<unk>`.
    """
    return WordIndexer([*words, UNKNOWN_WORD], digits=False, casing="fallback", lang=lang)


def spell(words: Sequence[str], *, alphabet: str, max_chars: int) -> npt.NDArray[np.int32]:
    """Words as rows of character ids.

    words (Sequence[str]): Any; longer ones are cut.
    alphabet (str): The characters that have an id of their own; all others share one.
    max_chars (int): Length of a row.
    RETURNS (ndarray): 0 beyond the end of a word. Shape: (words, max_chars).
    """
    ids: Dict[str, int] = {letter: place for place, letter in enumerate(alphabet, start=N_RESERVED_CHARACTERS)}
    rows = np.full((len(words), max_chars), NOTHING, dtype=np.int32)
    for row, word in zip(rows, words):
        letters = word[:max_chars]
        row[: len(letters)] = [ids.get(letter, UNKNOWN) for letter in letters]
    return rows


class TypeTable(nn.Module):
    """Rows and characters of all different words of some texts, looked up once.

    types (Sequence[str]): The words; their places are the ids that `side` takes.
    config (ReaderConfig): What the reader wants to know of them.
    indexer (Optional[WordIndexer]): Of its word table; not needed without one.
    """

    word_ids: Optional[Tensor]
    char_ids: Optional[Tensor]

    def __init__(self, types: Sequence[str], config: ReaderConfig, *, indexer: Optional[WordIndexer] = None) -> None:
        super().__init__()
        word_ids = None if indexer is None or not config.n_words else indexer.ids(types)
        spelled = spell(types, alphabet=config.characters, max_chars=config.max_chars) if config.characters else None
        for name, table in (("word_ids", word_ids), ("char_ids", spelled)):
            self.register_buffer(name, _as_tensor(table), persistent=False)

    def side(self, ids: Tensor, mask: Tensor, **given: Any) -> Side:
        """What a reader is given of some texts.

        ids (Tensor): Places of the words; any valid one at padding. Shape: (batch, seq).
        mask (Tensor): True for real tokens. Shape: (batch, seq).
        given (Any): Further fields of `Side`.
        """
        word_ids = None if self.word_ids is None else self.word_ids[ids]  # (batch, seq)
        char_ids = None if self.char_ids is None else self.char_ids[ids].long()  # (batch, seq, max_chars)
        return Side(mask=mask, word_ids=word_ids, char_ids=char_ids, **given)


def _as_tensor(table: Optional[npt.NDArray[Any]]) -> Optional[Tensor]:
    return None if table is None else torch.from_numpy(table)
