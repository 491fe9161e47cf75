"""Sequences of different lengths without their padding: all first tokens, then all second ones, and so on.

Rows are sorted by falling length, so that those still in use at a step are the first ones. What torch's
`PackedSequence` does too, but rows may be empty, and a batch without padding is not touched.
"""

from typing import List, Optional, Tuple

from torch import Tensor

from .masking import lengths_of


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
