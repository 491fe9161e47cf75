"""Padding masks: true marks a real token, padding stands at the right, and reversal keeps it there."""

from typing import Optional

import torch
from torch import Tensor

from ..errors import Errors


def checked_mask(ids: Tensor, mask: Optional[Tensor]) -> Optional[Tensor]:
    """Validate a padding mask and drop it when it says nothing.

    ids (Tensor): Word ids. Shape: (batch, seq).
    mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
    RETURNS (Optional[Tensor]): The mask as booleans, or None if every token is real.
    RAISES: ValueError G103 for another shape, G104 for padding that is not at the right.
    """
    if mask is None:
        return None
    if mask.shape != ids.shape:
        raise ValueError(Errors.G103.format(mask=tuple(mask.shape), ids=tuple(ids.shape)))
    mask = mask.bool()
    if bool(mask.all()):
        return None
    if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        raise ValueError(Errors.G104)
    return mask


def lengths_of(mask: Tensor) -> Tensor:
    """Real tokens of each sequence. Shape: (batch,)."""
    return mask.sum(dim=1)


def reversal_index(mask: Tensor) -> Tensor:
    """For each position of the reversed sequence, where it stands in the original; padding stays in place.

    mask (Tensor): True for real tokens. Shape: (batch, seq).
    RETURNS (Tensor): Positions; applying them twice gives the original order. Shape: (batch, seq).
    """
    lengths = lengths_of(mask)[:, None]  # (batch, 1)
    positions = torch.arange(mask.shape[1], device=mask.device)[None]  # (1, seq)
    return torch.where(positions < lengths, lengths - 1 - positions, positions)  # (batch, seq)


def reverse(values: Tensor, mask: Optional[Tensor], *, dim: int = 1) -> Tensor:
    """Reverse each sequence along `dim` by its own length.

    values (Tensor): Anything whose first axis is the batch and whose axis `dim` is the sequence.
    mask (Optional[Tensor]): True for real tokens; None if all are. Shape: (batch, seq).
    RETURNS (Tensor): The same shape, real positions reversed, padding where it was.
    """
    if mask is None:
        return values.flip(dim)
    dim = dim % values.dim()
    index = reversal_index(mask)  # (batch, seq)
    shape = [1] * values.dim()
    shape[0], shape[dim] = index.shape
    return values.gather(dim, index.view(shape).expand_as(values))
