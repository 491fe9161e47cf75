"""What a reader is given of one side: its contexts, or its questions."""

from dataclasses import dataclass
from typing import Optional, Sequence

from torch import Tensor


@dataclass
class Side:
    """Padded arrays of several texts; what the reader's config does not ask for is left out.

    mask (Tensor): True for real tokens, padding at the right, no text empty. Shape: (batch, seq), bool.
    word_ids (Optional[Tensor]): Rows of the word table; any at padding. Shape: (batch, seq), int64.
    elmo (Optional[Tensor]): Layers of a biLM, token vectors first. Shape: (batch, layers + 1, seq, width).
    char_ids (Optional[Tensor]): 0 beyond a word's end. Shape: (batch, seq, max_chars), int64.
    features (Optional[Tensor]): Given from outside. Shape: (batch, seq, feature_width).
    graphs (Optional[Sequence[Tensor]]): Left layers bottom to top, then right layers; rows and columns of padding
        are 0. Shape of each: (batch, heads, receiver, source).
    """

    mask: Tensor
    word_ids: Optional[Tensor] = None
    elmo: Optional[Tensor] = None
    char_ids: Optional[Tensor] = None
    features: Optional[Tensor] = None
    graphs: Optional[Sequence[Tensor]] = None

    @property
    def batch(self) -> int:
        """Texts."""
        return len(self.mask)
