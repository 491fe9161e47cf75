"""Bi-attention: each row of a text joins what it finds in another text, or in its own.

Source: Seo et al. 2017 as the reader of kimiyoung/glomo has it: trilinear scores, attention in both directions.
"""

import math

import torch
from torch import Tensor, nn

from ..dropout import locked_dropout
from ..packing import TextPacking
from ..products import Linear

EPSILON = 1e-16  # added to a sum of squares before it divides
MINUS_INFINITY = -1e30  # what a score at padding counts


class BiAttention(nn.Module):
    """What x finds in y:  [x; o1; x * o1; o2 * o1], with

        s_ij = u.x_i + v.y_j + (x_i * t).y_j     A = softmax over j of s    o1 = A y
        b = softmax over i of max_j s_ij         o2 = sum_i b_i x_i, the same for all i

    The original lets padding of x take part in b; here it does not.

    width (int): Width of rows of x and y.
    attention (str): "softmax", or "square": s^2 over the sum of s^2 in both places.
    """

    def __init__(self, width: int, attention: str = "softmax") -> None:
        super().__init__()
        self.attention = attention
        self.own = nn.Linear(width, 1, bias=False)  # u
        self.other = nn.Linear(width, 1, bias=False)  # v
        self.products = nn.Parameter(torch.empty(width).uniform_(1.0 / math.sqrt(width), 1.0))  # t

    def forward(self, x: Tensor, y: Tensor, x_packing: TextPacking, y_mask: Tensor, *, dropout: float = 0.0) -> Tensor:
        """Attend.

        x, y (Tensor): 0 at padding. Shapes: (batch, seq, width), (batch, other seq, width).
        x_packing (TextPacking): How the result is packed.
        y_mask (Tensor): True for real tokens. Shape: (batch, other seq).
        dropout (float): Locked, of both; the rate in training, 0 in prediction.
        RETURNS (Tensor): Shape: (tokens, 4 * width).
        """
        x = locked_dropout(x, dropout, is_train=dropout > 0.0)
        y = locked_dropout(y, dropout, is_train=dropout > 0.0)
        scores = self.own(x) + self.other(y).transpose(1, 2) + (x * self.products) @ y.transpose(1, 2)
        scores = masked_scores(scores, y_mask[:, None])  # (batch, seq, other seq)
        best = masked_scores(scores.amax(-1), x_packing.mask)  # (batch, seq)
        summary = (self._shares(best, x_packing.mask).to(x.dtype)[:, None] @ x).squeeze(1)  # (batch, width)
        found = x_packing.pack(self._shares(scores, y_mask[:, None]).to(y.dtype) @ y)  # (tokens, width)
        own = x_packing.pack(x)
        return torch.cat([own, found, own * found, summary[x_packing.texts] * found], dim=-1)

    def _shares(self, scores: Tensor, mask: Tensor) -> Tensor:
        """Scores to weights that sum to 1 along the last axis, 0 at padding."""
        if self.attention == "softmax":
            return scores.softmax(-1)
        squares = scores.masked_fill(~mask, 0.0).square()
        return squares / (squares.sum(-1, keepdim=True) + EPSILON)


class AttentivePooling(nn.Module):
    """A sequence as one row: the mean of its rows, weighted by softmax of Linear(tanh(Linear(x_i))).

    width (int): Width of a row.
    hidden_width (int): Between the two layers.
    """

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.hidden = Linear(width, hidden_width)
        self.score = nn.Linear(hidden_width, 1, bias=False)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """rows: (batch, seq, width); mask: (batch, seq); result: (batch, width)."""
        scores = self.score(self.hidden(rows).tanh()).squeeze(-1)  # (batch, seq)
        shares = masked_scores(scores, mask).softmax(-1).to(rows.dtype)
        return (shares[:, None] @ rows).squeeze(1)


def masked_scores(scores: Tensor, mask: Tensor) -> Tensor:
    """-1e30 where the mask is false, in at least float32, which can hold it. Same shape as the scores."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32)).masked_fill(~mask, MINUS_INFINITY)
