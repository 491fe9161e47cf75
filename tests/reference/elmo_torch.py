"""The biLM as published, in torch's own layers: what speed is measured against, and a second opinion on values.

Per batch as AllenNLP computes it (`allennlp/modules/{elmo,elmo_lstm,lstm_cell_with_projection}.py`): every place of the
padded batch is spelled in all its 50 characters and goes through the character network; the products of inputs are
computed step by step inside the loop over time, on the rows still in use; nothing is remembered between batches.

Parameters have the names and shapes of `glomo_spacy.models.elmo.BiLM`, whose state dict it loads.
"""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MAX_CHARACTERS = 50


class Transcription(nn.Module):
    """Layers of sentences.

    filters (Sequence[Tuple[int, int]]): Width and number of each group of convolutions.
    The others as in `ElmoConfig`.
    """

    def __init__(
        self,
        *,
        filters: Sequence[Tuple[int, int]],
        projection_width: int,
        cell_width: int,
        n_highway: int,
        n_layers: int = 2,
        char_width: int = 16,
        clip: float = 3.0,
    ) -> None:
        super().__init__()
        self.token_encoder = CharacterNetwork(filters, char_width, n_highway, projection_width)
        self.forward_lm = Direction(projection_width, cell_width, n_layers, clip)
        self.backward_lm = Direction(projection_width, cell_width, n_layers, clip)

    def layers(self, sentences: Sequence[Sequence[str]]) -> List[Tensor]:
        """One batch. RETURNS: per sentence (layers + 1, tokens, 2 * projection)."""
        lengths = torch.tensor([len(sentence) + 2 for sentence in sentences])
        vectors = self.token_encoder(spell_batch(sentences))  # (batch, seq, projection)
        order = lengths.argsort(descending=True, stable=True)
        forward = self.forward_lm(vectors[order], lengths[order])
        backward = self.backward_lm(reverse(vectors, lengths)[order], lengths[order])
        layers = [torch.cat([vectors, vectors], dim=-1)]
        for left, right in zip(forward, backward):
            left, right = left[order.argsort()], reverse(right[order.argsort()], lengths)
            layers.append(torch.cat([left, right], dim=-1))
        stacked = torch.stack(layers, dim=1)  # (batch, layers + 1, seq, 2 * projection)
        return [stacked[row, :, 1 : length - 1] for row, length in enumerate(lengths.tolist())]


class CharacterNetwork(nn.Module):
    def __init__(self, filters: Sequence[Tuple[int, int]], char_width: int, n_highway: int, width: int) -> None:
        super().__init__()
        n_filters = sum(count for _, count in filters)
        self.embedding = nn.Parameter(torch.empty(261, char_width).uniform_(-1, 1))
        self.convolutions = nn.ModuleList(nn.Conv1d(char_width, count, size) for size, count in filters)
        self.highways = nn.ModuleList(Highway(n_filters) for _ in range(n_highway))
        self.projection = nn.Linear(n_filters, width)

    def forward(self, characters: Tensor) -> Tensor:
        """(batch, seq, 50) -> (batch, seq, width)."""
        table = torch.cat([torch.zeros_like(self.embedding[:1]), self.embedding])
        embedded = F.embedding(characters.flatten(0, 1), table).transpose(1, 2)  # (tokens, char_width, 50)
        values = torch.cat([F.relu(convolution(embedded).amax(-1)) for convolution in self.convolutions], dim=-1)
        for highway in self.highways:
            values = highway(values)
        return self.projection(values).unflatten(0, characters.shape[:2])


class Highway(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.transform = nn.Linear(width, width)
        self.carry = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        gate = torch.sigmoid(self.carry(values))
        return gate * F.relu(self.transform(values)) + (1 - gate) * values


class Direction(nn.Module):
    def __init__(self, width: int, cell_width: int, n_layers: int, clip: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, cell_width, clip) for _ in range(n_layers))

    def forward(self, inputs: Tensor, lengths: Tensor) -> List[Tensor]:
        """Inputs (batch, seq, width), longest first. RETURNS: each layer's outputs, 0 at padding."""
        outputs: List[Tensor] = []
        for index, layer in enumerate(self.layers):
            result = layer(inputs, lengths.tolist())
            inputs = result + inputs if index else result
            outputs.append(inputs)
        return outputs


class Layer(nn.Module):
    def __init__(self, width: int, cell_width: int, clip: float) -> None:
        super().__init__()
        self.clip = clip
        self.input_weight = nn.Parameter(torch.randn(4 * cell_width, width) / 8)
        self.hidden_weight = nn.Parameter(torch.randn(4 * cell_width, width) / 8)
        self.bias = nn.Parameter(torch.zeros(4 * cell_width))
        self.projection = nn.Parameter(torch.randn(width, cell_width) / 8)

    def forward(self, inputs: Tensor, lengths: List[int], state: Optional[Tuple[Tensor, Tensor]] = None) -> Tensor:
        outputs = torch.zeros_like(inputs)
        width, cell_width = self.projection.shape
        hidden, cell = state or (inputs.new_zeros(len(inputs), width), inputs.new_zeros(len(inputs), cell_width))
        for step in range(inputs.shape[1]):
            n_rows = sum(length > step for length in lengths)
            gates = F.linear(inputs[:n_rows, step], self.input_weight)
            gates = gates + F.linear(hidden[:n_rows], self.hidden_weight, self.bias)  # (rows, 4 * cell)
            write, candidate, keep, read = gates.chunk(4, dim=-1)
            new = torch.sigmoid(write) * torch.tanh(candidate) + torch.sigmoid(keep + 1) * cell[:n_rows]
            new = new.clamp(-self.clip, self.clip)
            projected = F.linear(torch.sigmoid(read) * torch.tanh(new), self.projection)
            hidden, cell = projected.clamp(-self.clip, self.clip), new
            outputs[:n_rows, step] = hidden
        return outputs


def spell_batch(sentences: Sequence[Sequence[str]]) -> Tensor:
    """Character ids of a padded batch with its boundaries, 0 where there is no token. Shape: (batch, seq, 50)."""
    longest = max(map(len, sentences)) + 2
    rows = [[spell([256]), *(spell(list(word.encode())) for word in sentence), spell([257])] for sentence in sentences]
    nothing = [0] * MAX_CHARACTERS
    return torch.tensor([row + [nothing] * (longest - len(row)) for row in rows])


def spell(characters: List[int]) -> List[int]:
    """One word between its marks, in the numbering for prediction."""
    word = [258, *characters[: MAX_CHARACTERS - 2], 259]
    return [character + 1 for character in word + [260] * (MAX_CHARACTERS - len(word))]


def reverse(values: Tensor, lengths: Tensor) -> Tensor:
    """Each row reversed by its own length, padding kept. (batch, seq, width)."""
    turned = values.clone()
    for row, length in enumerate(lengths.tolist()):
        turned[row, :length] = values[row, :length].flip(0)
    return turned
