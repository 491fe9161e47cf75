"""Sequences of different lengths without their padding: all first tokens, then all second ones, and so on.

Rows are sorted by falling length, so that those still in use at a step are the first ones. What torch's
`PackedSequence` does too, but rows may be empty, and a batch without padding is not touched.
"""

from typing import List, Optional, Tuple

import torch
from torch import Tensor

from .masking import lengths_of, reversal_index


class Packing:
    """How a batch is packed.

    shape (Tuple[int, int]): Batch and seq of the padded tensors.
    mask (Optional[Tensor]): True for real tokens, padding at the right; None if all are. Shape: (batch, seq).

    Attributes:
    sizes (List[int]): Rows in use at each step, falling, none 0.
    """

    def __init__(self, shape: Tuple[int, int], mask: Optional[Tensor]) -> None:
        self._shape = shape
        self._order: Optional[Tensor] = None
        batch, seq = shape
        self.sizes: List[int] = [batch] * (seq if batch else 0)
        if mask is None or bool(mask.all()):
            return
        self._order = lengths_of(mask).argsort(descending=True, stable=True)  # (batch,)
        by_step = mask[self._order].t()  # (seq, batch)
        self.sizes = [size for size in by_step.sum(1).tolist() if size]
        steps, rows = by_step.nonzero(as_tuple=True)
        self._places = self._order[rows] * seq + steps  # (tokens,), in the flattened batch

    def pack(self, padded: Tensor) -> Tensor:
        """(batch, seq, width) -> (tokens, width)."""
        if self._order is None:
            return padded.transpose(0, 1).reshape(-1, padded.shape[2])
        return padded.flatten(0, 1)[self._places]

    def unpack(self, packed: Tensor) -> Tensor:
        """(tokens, width) -> (batch, seq, width), 0 at padding."""
        batch, seq = self._shape
        if self._order is None:
            return packed.view(seq, batch, packed.shape[1]).transpose(0, 1)
        padded = packed.new_zeros(batch * seq, packed.shape[1])
        return padded.index_copy(0, self._places, packed).view(batch, seq, packed.shape[1])

    def sort(self, rows: Tensor) -> Tensor:
        """Bring rows (layers, batch, width) into packed order."""
        return rows if self._order is None else rows[:, self._order]

    def restore(self, rows: Tensor) -> Tensor:
        """Undo `sort`."""
        return rows if self._order is None else rows[:, self._order.argsort()]


class TextPacking(Packing):
    """A packed batch of texts that is read in both directions, or token by token.

    mask (Tensor): True for real tokens, padding at the right, no text empty. Shape: (batch, seq).

    Attributes:
    texts (Tensor): The text that each packed token belongs to. Shape: (tokens,).
    """

    def __init__(self, mask: Tensor) -> None:
        batch, seq = mask.shape
        super().__init__((batch, seq), mask)
        self.mask = mask
        places = torch.arange(batch * seq, device=mask.device).view(batch, seq)
        self._tokens = self.pack(places[:, :, None]).squeeze(1)  # (tokens,), in the flattened batch
        self.texts = self._tokens // seq

    def mirrored(self) -> Tensor:
        """For each packed token the one that takes its place in the text's reverse; its own inverse. (tokens,)."""
        batch, seq = self.mask.shape
        numbers = torch.empty(batch * seq, dtype=torch.int64, device=self.texts.device)
        numbers[self._tokens] = torch.arange(len(self._tokens), device=self.texts.device)
        firsts = torch.arange(0, batch * seq, seq, device=self.texts.device)[:, None]
        return numbers[(firsts + reversal_index(self.mask)).flatten()[self._tokens]]

    def drop(self, packed: Tensor, rate: float) -> Tensor:
        """Locked dropout: drop whole channels of a text, with inverse scaling.

        packed (Tensor): Shape: (tokens, width).
        rate (float): Share of channels dropped, 0 <= rate < 1; 0 in prediction.
        RETURNS (Tensor): Shape: (tokens, width).
        """
        if rate == 0.0:
            return packed
        kept = packed.new_empty(len(self.mask), packed.shape[1]).bernoulli_(1.0 - rate)  # (batch, width)
        return packed * (kept / (1.0 - rate))[self.texts]
