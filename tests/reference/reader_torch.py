"""The reader with the data flow of its published code, in torch's own layers: what the benchmark compares with.

Source: kimiyoung/glomo, `squad/model_t.py` and `model_trnn.py`, the published variant: texts padded to
a fixed length, graphs as python lists with one entry per layer, candidates written out and joined, torch's packed GRU.
Padding is left out of attention and of the question's GRU, where the published code let it in: results can be compared.
"""

from typing import Any, Dict, List, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

MINUS_INFINITY = -1e30
State = Dict[str, Tensor]


class Transcription(nn.Module):
    """Conditioned mixtures with products, gates, soft-max attention, pointer; in evaluation, without dropout.

    config (Any): The fields of a `ReaderConfig`: sizes, and `graph` "none", "inputs" or "states".
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.n_words, config.word_width).requires_grad_(False)
        self.characters = Characters(config)
        self.transfer = Transfer(config.transfer) if config.graph == "inputs" else None
        self.trnn = nn.ModuleDict({"transfer": Transfer(config.transfer)}) if config.graph == "states" else None
        rows_width = config.transfer.output_width if self.transfer is not None else config.word_width
        states, model = 2 * config.encoder_width, config.model_width
        self.encoder = Encoder(rows_width + config.char_channels, config.encoder_width)
        width = 2 * states if self.trnn is not None else states
        self.attention = BiAttention(width)
        self.join_question = nn.Linear(4 * width, model)
        self.self_encoder = Encoder(model, config.hidden_width)
        self.self_attention = BiAttention(2 * config.hidden_width)
        self.join_self = nn.Linear(8 * config.hidden_width, model)
        self.output = Pointer(model, states)

    def load(self, state: State) -> None:
        """Take the weights of a `ReaderModel` with the same config."""
        state = dict(state)
        kernels = state["characters.convolution.weight"].unflatten(1, (self.config.char_kernel, -1))
        state["characters.convolution.weight"] = kernels.transpose(1, 2).contiguous()  # (channels, width, kernel)
        self.load_state_dict(state)

    def forward(self, context: Any, question: Any) -> Tuple[Tensor, Tensor]:
        """Scores of starts and ends, one context per question. Arguments as the fields of a `Side`."""
        x, y = self._encode(context), self._encode(question)
        rows = torch.relu(self.join_question(self.attention(x, y, context.mask, question.mask)))
        own = self.self_encoder(rows, context.mask)
        rows = rows + torch.relu(self.join_self(self.self_attention(own, own, context.mask, context.mask)))
        logits: Tuple[Tensor, Tensor] = self.output(rows, context.mask, y, question.mask)
        return logits

    def _encode(self, side: Any) -> Tensor:
        rows = self.words(side.word_ids)
        if self.transfer is not None:
            rows = self.transfer(rows, side.graphs)
        states: Tensor = self.encoder(torch.cat([rows, self.characters(side.char_ids)], dim=-1), side.mask)
        return states if self.trnn is None else self.trnn["transfer"](states, side.graphs)


class Characters(nn.Module):
    """A convolution over every word at every place, its maximum."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.table = nn.Embedding(config.n_characters, config.char_width)
        self.convolution = nn.Conv1d(config.char_width, config.char_channels, config.char_kernel)

    def forward(self, char_ids: Tensor) -> Tensor:
        vectors = self.table(char_ids).flatten(0, 1).transpose(1, 2)  # (batch * seq, width, chars)
        return self.convolution(vectors).amax(-1).unflatten(0, char_ids.shape[:2])


class Transfer(nn.Module):
    """Candidate graphs written out, mixed for every position, features sent along, all joined by a gate."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.n_layers, self.n_mixes = config.n_layers, config.n_mixes
        n_candidates = (2 * config.n_layers - 1) * config.n_heads
        gated_width = config.output_width - config.width
        self.mixture = nn.ModuleDict({"logits": nn.Linear(config.width, 2 * config.n_mixes * n_candidates)})
        self.scales = nn.Parameter(torch.ones(2, config.n_mixes))
        inputs = config.width * (1 + 2 * config.n_mixes)
        self.fusion = nn.ModuleDict({name: nn.Linear(inputs, gated_width) for name in ("value", "gate")})

    def forward(self, rows: Tensor, layers: Sequence[Tensor]) -> Tensor:
        logits = self.mixture["logits"](rows).unflatten(-1, (2, self.n_mixes, -1))
        weights = logits.softmax(-1)  # (batch, seq, directions, mixes, candidates * heads)
        parts: List[Tensor] = [rows]
        for direction in range(2):
            graphs = layers[direction * self.n_layers : (direction + 1) * self.n_layers]
            candidates, product = [graphs[0]], graphs[0]
            for graph in graphs[1:]:
                product = graph @ product
                candidates += [graph, product]
            joined = torch.cat(candidates, dim=1)  # (batch, candidates * heads, receiver, source)
            for mix in range(self.n_mixes):
                mixed = torch.einsum("bmij,bim->bij", joined, weights[:, :, direction, mix])
                parts.append(self.scales[direction, mix] * (mixed @ rows))
        together = torch.cat(parts, dim=-1)
        return torch.cat([rows, self.fusion["value"](together) * self.fusion["gate"](together).sigmoid()], dim=-1)


class Encoder(nn.Module):
    """torch's bidirectional GRU on a packed batch."""

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(input_width, width, bidirectional=True, batch_first=True)
        self.first_state = nn.Parameter(torch.zeros(2, width))

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        packed = pack_padded_sequence(rows, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        states, _ = self.gru(packed, self.first_state[:, None].expand(-1, len(rows), -1).contiguous())
        return pad_packed_sequence(states, batch_first=True, total_length=rows.shape[1])[0]


class BiAttention(nn.Module):
    """Trilinear scores, attention in both directions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own, self.other = nn.Linear(width, 1, bias=False), nn.Linear(width, 1, bias=False)
        self.products = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
        scores = self.own(x) + self.other(y).transpose(1, 2) + (x * self.products) @ y.transpose(1, 2)
        scores = scores.masked_fill(~y_mask[:, None], MINUS_INFINITY)
        found = scores.softmax(-1) @ y
        summary = scores.amax(-1).masked_fill(~x_mask, MINUS_INFINITY).softmax(-1)[:, None] @ x
        return torch.cat([x, found, x * found, summary * found], dim=-1)


class Pointer(nn.Module):
    """A summary of the question points to the start; a step of a GRU later to the end."""

    def __init__(self, width: int, states_width: int) -> None:
        super().__init__()
        self.states_width = states_width
        self.encoder = Encoder(width, width)
        self.summary = nn.ModuleDict(
            {"hidden": nn.Linear(states_width, width), "score": nn.Linear(width, 1, bias=False)}
        )
        self.from_row = nn.Linear(2 * width, width)
        self.from_state = nn.Linear(states_width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)
        self.step = nn.GRUCell(2 * width, states_width)

    def forward(self, rows: Tensor, mask: Tensor, question: Tensor, question_mask: Tensor) -> Tuple[Tensor, Tensor]:
        encoded, question = self.encoder(rows, mask), question[..., -self.states_width :]
        scores = self.summary["score"](self.summary["hidden"](question).tanh()).squeeze(-1)
        shares = scores.masked_fill(~question_mask, MINUS_INFINITY).softmax(-1)
        state = (shares[:, None] @ question).squeeze(1)
        start = self._point(encoded, state, mask)
        state = self.step((start.softmax(-1)[:, None] @ encoded).squeeze(1), state)
        return start, self._point(encoded, state, mask)

    def _point(self, encoded: Tensor, state: Tensor, mask: Tensor) -> Tensor:
        hidden = (self.from_row(encoded) + self.from_state(state)[:, None]).tanh()
        return self.score(hidden).squeeze(-1).masked_fill(~mask, MINUS_INFINITY)
