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
from ..packing import TextPacking
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
        rate = self.config.dropout if is_train else 0.0
        (packing, encoded), (_, asked) = self._encode(context, question, is_train=is_train)
        if not torch.equal(owners, torch.arange(context.batch, device=owners.device)):
            packing, encoded = TextPacking(context.mask[owners]), encoded[owners]
        found = self.attention(encoded, asked, packing, question.mask, dropout=rate)
        rows = self.join_question(found).relu()  # (tokens of all questions' contexts, model_width)
        own = packing.unpack(self.self_encoder(rows, packing, dropout=rate))
        found = self.self_attention(own, own, packing, packing.mask, dropout=rate)
        rows = rows + self.join_self(found).relu()
        logits: Logits = self.output(rows, packing, asked, question.mask, is_train=is_train)
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
        return ReaderExplanation(*logits, *map(self._graph_use, (context, question)))

    def _graph_use(self, side: Side) -> Optional[GraphUse]:
        """What the graphs of this side do: between words, or between the encoder's states."""
        packing = TextPacking(side.mask)
        rows = self._word_features(side, packing)
        if self.transfer is not None:
            return GraphUse.of(self.transfer, packing.unpack(rows), side)
        if self.trnn is None:
            return None
        states = self._states(rows, self._spell([side], [packing])[0], packing, rate=0.0)
        return GraphUse.of(self.trnn.transfer, packing.unpack(states), side)

    def _encode(self, *sides: Side, is_train: bool) -> List[Tuple[TextPacking, Tensor]]:
        """All sides by the same layers, with their packings. Shape of each: (batch, seq, width)."""
        for name, side in zip(("context", "question"), sides):
            _check_parts(self.config, side, name)
        packings = [TextPacking(side.mask) for side in sides]
        spelled = self._spell(sides, packings)
        rate = self.config.input_dropout if is_train else 0.0
        encoded = [self._encode_side(*parts, rate=rate) for parts in zip(sides, spelled, packings)]
        return [(packing, packing.unpack(rows)) for packing, rows in zip(packings, encoded)]

    def _encode_side(self, side: Side, spelled: Optional[Tensor], packing: TextPacking, *, rate: float) -> Tensor:
        """Shape: (tokens, states_width), twice as wide for TRNN."""
        rows = self._word_features(side, packing)
        graphs = side.graphs or ()
        if self.transfer is not None:
            rows = self.transfer.packed(rows, graphs, packing, dropout=rate)
        states = self._states(rows, spelled, packing, rate=rate)
        return states if self.trnn is None else self.trnn(states, graphs, packing, dropout=rate)

    def _states(self, rows: Tensor, spelled: Optional[Tensor], packing: TextPacking, *, rate: float) -> Tensor:
        """Shape: (tokens, states_width)."""
        if spelled is not None:
            rows = torch.cat([rows, spelled], dim=-1)
        states: Tensor = self.encoder(rows, packing, dropout=rate)
        return states

    def _word_features(self, side: Side, packing: TextPacking) -> Tensor:
        """Static vectors, biLM and given features side by side. Shape: (tokens, input_width)."""
        parts: List[Tensor] = []
        if self.words is not None and side.word_ids is not None:
            parts.append(self.words(packing.pack(side.word_ids[:, :, None]).squeeze(1)))
        if self.elmo_mix is not None and side.elmo is not None:
            layers = torch.stack([packing.pack(layer) for layer in side.elmo.unbind(1)])  # (layers + 1, tokens, width)
            parts += self.elmo_mix(layers)
        if side.features is not None and self.config.feature_width:
            parts.append(packing.pack(side.features))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def _spell(self, sides: Sequence[Side], packings: Sequence[TextPacking]) -> List[Optional[Tensor]]:
        """Rows of the words' characters, all sides' in one go. Shape of each: (tokens, char_channels)."""
        if self.characters is None:
            return [None for _ in sides]
        ids = [packing.pack(side.char_ids) for side, packing in zip(sides, packings) if side.char_ids is not None]
        return list(self.characters(torch.cat(ids)).split([len(part) for part in ids]))


def _new_character_encoder(config: ReaderConfig) -> Optional[CharacterEncoder]:
    if not config.characters:
        return None
    return CharacterEncoder(
        config.n_characters, width=config.char_width, n_channels=config.char_channels, kernel_size=config.char_kernel
    )


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
