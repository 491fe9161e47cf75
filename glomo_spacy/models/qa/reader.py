"""The reader: where in a context stands the answer to a question?

Source: Yang et al. 2018 (arXiv 1806.05662), section 4.1; kimiyoung/glomo, `squad/model_t.py` and `model_trnn.py`.
Known differences: padding never takes part (there it did in the question's GRU, in the attention from question to
context, and in the uniform graph), and evaluation draws no dropout mask.
"""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import Errors
from ..elmo.scalar_mix import ScalarMix
from ..glomo.mixing import GraphTransfer
from ..products import Linear
from .attention import BiAttention
from .characters import CharacterEncoder
from .config import ReaderConfig
from .encoder import Encoder
from .explanation import GraphUse, ReaderExplanation
from .pointer import OUTPUT_LAYERS, Logits
from .side import Side
from .trnn import TRNN


class ReaderModel(nn.Module):
    """Encode both texts alike, attend to the question, to oneself, and point.

    config (ReaderConfig): Sizes and variant.
    """

    def __init__(self, config: ReaderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.n_words, config.word_width) if config.n_words else None
        if self.words is not None:
            self.words.weight.requires_grad_(config.train_words)
        self.elmo_mix = ScalarMix(config.elmo_layers + 1) if config.elmo_layers else None
        self.characters = _new_character_encoder(config)
        on_words = config.graph in ("inputs", "uniform")
        self.transfer = GraphTransfer(config.transfer) if on_words else None
        self.trnn = TRNN(config.transfer) if config.graph == "states" else None

        features_width = config.transfer.output_width if on_words else config.input_width
        self.encoder = Encoder(features_width + (config.char_channels if self.characters else 0), config.encoder_width)
        encoding_width = config.states_width * (2 if self.trnn else 1)
        self.attention = BiAttention(encoding_width, config.attention)
        self.join_question = Linear(4 * encoding_width, config.model_width)
        self.self_encoder = Encoder(config.model_width, config.hidden_width)
        self.self_attention = BiAttention(2 * config.hidden_width, config.attention)
        self.join_self = Linear(8 * config.hidden_width, config.model_width)
        self.output = OUTPUT_LAYERS[config.output](config)

    def forward(self, context: Side, question: Side, owners: Tensor, *, is_train: bool) -> Logits:
        """Score every token as first and as last of each answer.

        A context is encoded once, however many questions it has; in training they share its dropout masks. What
        follows is done for each question.

        context (Side): Different contexts.
        question (Side): Questions.
        owners (Tensor): The context that each question belongs to. Shape: (questions,), int64.
        is_train (bool): Apply dropout. Explicit, because a module's training flag is not safe to toggle between
            threads.
        RETURNS (Tuple[Tensor, Tensor]): Scores of starts and ends, at least float32, -1e30 at padding.
            Shape of each: (questions, context seq).
        RAISES: ValueError G192 if a side lacks what the config asks for.
        """
        encoded, asked = self._encode(context, question, is_train=is_train)
        rate = self.config.dropout if is_train else 0.0
        encoded, mask = encoded[owners], context.mask[owners]  # (questions, context seq, ...)
        found = self.attention(encoded, asked, mask, question.mask, dropout=rate)
        rows = self.join_question(found).relu()  # (questions, context seq, model_width)
        own = self.self_encoder(rows, mask, dropout=rate)
        found = self.self_attention(own, own, mask, mask, dropout=rate)
        rows = rows + self.join_self(found).relu()
        logits: Logits = self.output(rows, mask, asked, question.mask, is_train=is_train)
        return logits

    def loss(self, start_logits: Tensor, end_logits: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """Cross-entropy of starts and of ends, both added, mean over the questions, in nats.

        starts, ends (Tensor): First and last token (inclusive) of each answer. Shape: (questions,), int64.
        RETURNS (Tensor): Shape: ().
        """
        return F.cross_entropy(start_logits, starts) + F.cross_entropy(end_logits, ends)

    @torch.no_grad()
    def explain(self, context: Side, question: Side, owners: Tensor) -> ReaderExplanation:
        """Answer, and show which graphs were used how. Arguments as for `forward`, without dropout."""
        logits = self(context, question, owners, is_train=False)
        spelled = self._spell((context, question))
        uses = [self._graph_use(*pair) for pair in zip((context, question), spelled)]
        return ReaderExplanation(*logits, *uses)

    def _graph_use(self, side: Side, spelled: Optional[Tensor]) -> Optional[GraphUse]:
        """What graphs of this side do: between words, or between the encoder's states."""
        rows = self._word_features(side)
        if self.transfer is not None:
            return GraphUse.of(self.transfer, rows, side)
        if self.trnn is None:
            return None
        return GraphUse.of(self.trnn.transfer, self._states(rows, side, spelled, rate=0.0), side)

    def _encode(self, context: Side, question: Side, *, is_train: bool) -> Tuple[Tensor, Tensor]:
        """Both sides by the same layers. Shapes: (contexts, seq, width), (questions, seq, width)."""
        sides = (context, question)
        for name, side in zip(("context", "question"), sides):
            _check_parts(self.config, side, name)
        spelled = self._spell(sides)
        encoded, asked = (self._encode_side(*pair, is_train=is_train) for pair in zip(sides, spelled))
        return encoded, asked

    def _encode_side(self, side: Side, spelled: Optional[Tensor], *, is_train: bool) -> Tensor:
        """Shape: (batch, seq, states_width), twice as wide for TRNN."""
        rate = self.config.input_dropout if is_train else 0.0
        rows = self._word_features(side)  # (batch, seq, input_width)
        if self.transfer is not None:
            received = self.transfer.batched(rows, side.graphs or (), side.mask, dropout=rate)
            rows = self.transfer.fuse(rows, received, rate)
        states = self._states(rows, side, spelled, rate=rate)
        if self.trnn is not None and side.graphs is not None:
            states = self.trnn(states, side.graphs, side.mask, dropout=rate)
        return states

    def _states(self, rows: Tensor, side: Side, spelled: Optional[Tensor], *, rate: float) -> Tensor:
        """Shape: (batch, seq, states_width)."""
        if spelled is not None:
            rows = torch.cat([rows, spelled], dim=-1)
        states: Tensor = self.encoder(rows, side.mask, dropout=rate)
        return states

    def _word_features(self, side: Side) -> Tensor:
        """Static vectors, biLM and given features side by side, 0 at padding. Shape: (batch, seq, input_width)."""
        parts: List[Tensor] = []
        if self.words is not None and side.word_ids is not None:
            parts.append(self.words(side.word_ids))
        if self.elmo_mix is not None and side.elmo is not None:
            shares = self.elmo_mix.gamma[0] * self.elmo_mix.shares()[0]  # (layers + 1,)
            parts.append(sum(share * layer for share, layer in zip(shares, side.elmo.unbind(1))))
        if side.features is not None and self.config.feature_width:
            parts.append(side.features)
        rows = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        return rows.masked_fill(~side.mask[:, :, None], 0.0)

    def _spell(self, sides: Sequence[Side]) -> List[Optional[Tensor]]:
        """Rows of the words' characters, both sides' in one go. Shape of each: (batch, seq, char_channels)."""
        if self.characters is None:
            return [None for _ in sides]
        ids = [side.char_ids[side.mask] for side in sides if side.char_ids is not None]  # (tokens, max_chars)
        rows = self.characters(torch.cat(ids)).split([len(part) for part in ids])
        return [_padded(part, side.mask) for part, side in zip(rows, sides)]


def _new_character_encoder(config: ReaderConfig) -> Optional[CharacterEncoder]:
    if not config.characters:
        return None
    return CharacterEncoder(
        config.n_characters, width=config.char_width, n_channels=config.char_channels, kernel_size=config.char_kernel
    )


def _padded(rows: Tensor, mask: Tensor) -> Tensor:
    """(tokens, width) -> (batch, seq, width), 0 at padding."""
    places = mask.flatten().nonzero().squeeze(1)
    padded = rows.new_zeros(mask.numel(), rows.shape[1])
    return padded.index_copy(0, places, rows).view(*mask.shape, -1)


def _check_parts(config: ReaderConfig, side: Side, name: str) -> None:
    """RAISES: ValueError G192."""
    wanted = {
        "word_ids": bool(config.n_words),
        "elmo": bool(config.elmo_layers),
        "features": bool(config.feature_width),
        "char_ids": bool(config.characters),
        "graphs": config.graph in ("inputs", "states"),
    }
    missing = [part for part, is_wanted in wanted.items() if is_wanted and getattr(side, part) is None]
    if missing:
        raise ValueError(Errors.G192.format(side=name, missing=", ".join(missing)))
