"""Words as their characters: a convolution over their vectors, the greatest value of each channel.

Source: the reader of kimiyoung/glomo: 16 characters of width 8, one convolution of 100 channels over 5 of them, the
maximum over its 12 positions, no activation.
"""

from typing import Tuple

import torch
from torch import Tensor, nn

from ..products import Linear

NOTHING = 0  # the id beyond the end of a word
UNKNOWN = 1  # the id of a character that is not in the alphabet
_INITIAL_DEVIATION = 0.01  # of the published character table
_KEY_LIMIT = 1 << 62  # below the largest number that an id of several characters can have


class CharacterEncoder(nn.Module):
    """One row per word from its characters. A word is computed once, however often a batch has it.

    n_characters (int): Rows of the table: nothing and unknown, both initially 0, then the alphabet.
    width (int): Of a character's vector.
    n_channels (int): Of the convolution.
    kernel_size (int): Characters that it sees.
    """

    def __init__(self, n_characters: int, *, width: int = 8, n_channels: int = 100, kernel_size: int = 5) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.table = nn.Embedding(n_characters, width)
        nn.init.normal_(self.table.weight, std=_INITIAL_DEVIATION)
        nn.init.zeros_(self.table.weight[: UNKNOWN + 1])
        self.convolution = Linear(kernel_size * width, n_channels)

    def forward(self, char_ids: Tensor) -> Tensor:
        """Encode.

        char_ids (Tensor): 0 beyond the end of a word. Shape: (words, max_chars), int64.
        RETURNS (Tensor): Shape: (words, n_channels).
        """
        words, places = distinct_rows(char_ids, self.table.num_embeddings)
        vectors = self.table(words)  # (distinct, max_chars, width)
        seen = vectors.unfold(1, self.kernel_size, 1).transpose(2, 3)  # (distinct, positions, kernel, width)
        return self.convolution(seen.flatten(2)).amax(1)[places]  # (words, n_channels)


def distinct_rows(ids: Tensor, n_ids: int) -> Tuple[Tensor, Tensor]:
    """The different rows of a table of ids, and which of them stands in each row.

    Exact, and far quicker than `torch.unique` over an axis: as many columns as fit are read as one number.

    ids (Tensor): Each at least 0 and below `n_ids`. Shape: (rows, columns), int64.
    RETURNS (Tuple[Tensor, Tensor]): Shapes: (distinct, columns), (rows,).
    """
    keys = torch.zeros_like(ids[:, 0])
    n_keys = 1
    for column in ids.unbind(1):
        if n_keys * n_ids > _KEY_LIMIT:
            distinct, keys = keys.unique(return_inverse=True)
            n_keys = len(distinct)
        keys, n_keys = keys * n_ids + column, n_keys * n_ids
    distinct, places = keys.unique(return_inverse=True)
    examples = torch.empty_like(distinct).scatter_(0, places, torch.arange(len(ids), device=ids.device))
    return ids[examples], places
