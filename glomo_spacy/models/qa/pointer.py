"""Where an answer starts and ends: the reader's output layers.

Source: the reader of kimiyoung/glomo: a pointer network (Vinyals et al. 2015; `original_ptr`, published), or a
recurrent network and a linear layer each for start and end. Its pointer also drew a dropout mask in evaluation, so
that published evaluation is random; here only training draws one.
"""

from typing import Dict, Tuple, Type

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..dropout import locked_dropout
from ..packing import TextPacking
from ..products import Linear
from .attention import AttentivePooling, masked_scores
from .config import ReaderConfig
from .encoder import Encoder

Logits = Tuple[Tensor, Tensor]  # of start and end. Shape of each: (batch, seq).


class Output(nn.Module):
    """Scores of every token as first and as last of the answer."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config

    def forward(
        self, rows: Tensor, packing: TextPacking, question: Tensor, question_mask: Tensor, *, is_train: bool
    ) -> Logits:
        """Score.

        rows (Tensor): The context's tokens. Shape: (tokens, model_width).
        packing (TextPacking): How the contexts are packed.
        question (Tensor): The question's encoding; its last `states_width` channels are read.
            Shape: (batch, question seq, at least states_width).
        question_mask (Tensor): Shape: (batch, question seq).
        RETURNS (Tuple[Tensor, Tensor]): -1e30 at padding. Shape of each: (batch, seq).
        """
        raise NotImplementedError


class PointerOutput(Output):
    """Point twice: from a summary of the question to the start, from there, by a GRU's step, to the end."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__(config)
        width = 2 * config.model_width
        self.encoder = Encoder(config.model_width, config.model_width)
        self.summary = AttentivePooling(config.states_width, config.model_width)
        self.from_row = Linear(width, config.model_width)
        self.from_state = nn.Linear(config.states_width, config.model_width, bias=False)
        self.score = nn.Linear(config.model_width, 1, bias=False)
        self.step = nn.GRUCell(width, config.states_width)

    def forward(
        self, rows: Tensor, packing: TextPacking, question: Tensor, question_mask: Tensor, *, is_train: bool
    ) -> Logits:
        rate = self.config.pointer_dropout if is_train else 0.0
        encoded = self.encoder(rows, packing, dropout=self.config.dropout if is_train else 0.0)
        encoded = packing.drop(encoded, rate)  # (tokens, 2 * model_width)
        question = locked_dropout(question[..., -self.config.states_width :], rate, is_train=is_train)
        state = self.summary(question, question_mask)  # (batch, states_width)
        kept = F.dropout(torch.ones_like(state), rate, training=is_train)  # one mask for both states
        from_rows = self.from_row(encoded)  # (tokens, model_width)
        start = self._point(from_rows, state * kept, packing)
        pointed = (start.softmax(-1).to(encoded.dtype)[:, None] @ packing.unpack(encoded)).squeeze(1)
        state = self.step(F.dropout(pointed, rate, training=is_train), state)
        return start, self._point(from_rows, state * kept, packing)

    def _point(self, from_rows: Tensor, state: Tensor, packing: TextPacking) -> Tensor:
        hidden = (from_rows + self.from_state(state)[packing.texts]).tanh()  # (tokens, model_width)
        return as_logits(self.score(hidden), packing)


class RecurrentOutput(Output):
    """A network each: the end's reads the rows beside the states of the start's."""

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__(config)
        width = config.model_width
        self.start_encoder = Encoder(width, width)
        self.start_score = nn.Linear(2 * width, 1)
        self.end_encoder = Encoder(3 * width, width)
        self.end_score = nn.Linear(2 * width, 1)

    def forward(
        self, rows: Tensor, packing: TextPacking, question: Tensor, question_mask: Tensor, *, is_train: bool
    ) -> Logits:
        rate = self.config.dropout if is_train else 0.0
        starts = self.start_encoder(rows, packing, dropout=rate)  # (tokens, 2 * model_width)
        ends = self.end_encoder(torch.cat([rows, starts], dim=-1), packing, dropout=rate)
        return as_logits(self.start_score(starts), packing), as_logits(self.end_score(ends), packing)


def as_logits(scores: Tensor, packing: TextPacking) -> Tensor:
    """Unpack scores, -1e30 at padding. Shapes: (tokens, 1), (batch, seq)."""
    return masked_scores(packing.unpack(scores).squeeze(-1), packing.mask)


OUTPUT_LAYERS: Dict[str, Type[Output]] = {"pointer": PointerOutput, "recurrent": RecurrentOutput}
