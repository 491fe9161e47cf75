"""A Transformer encoder that sees the past only, as the body of a language model (Vaswani et al. 2017, section 3).

Layers normalise what they read, not what they put out (Xiong et al. 2020, figure 1b), so that training needs no long
warm-up; the sum is normalised once at the end:

    x <- x + Attention(Norm(x))        each place attends to itself and those before it
    x <- x + W_2 relu(W_1 Norm(x))

There is no state: each call is one window, which knows nothing of the windows before. Padding at the right is never
seen by a real token, since it stands behind it.
"""

import math
from typing import List

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..dropout import locked_dropout
from ..precision import at_least_float32
from ..products import Linear

_LONGEST_WAVE = 10_000.0  # over 2 pi: section 3.5


class Transformer(nn.Module):
    """Layers above each other.

    n_in (int): Width of inputs; one that differs from `width` is projected.
    width (int): Of the layers.
    n_layers (int): Layers.
    n_heads (int): Heads of each layer's attention; a divisor of `width`.
    ffn_width (int): Width between the two products of a layer's second half.
    positions (str): "sine" (published) or "none": attention alone does not know the order, but its limits tell some.
    outputs (str): "sum" of the layers' outputs, or that of the "top" one; normalised either way.
    dropout (float): Share of channels dropped of what each half of a layer adds, one mask per sequence. 0-1.
    """

    def __init__(
        self,
        n_in: int,
        width: int,
        *,
        n_layers: int,
        n_heads: int,
        ffn_width: int,
        positions: str,
        outputs: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.positions, self.outputs, self.dropout = positions, outputs, dropout
        self.projection = None if n_in == width else _linear(n_in, width)
        self.layers = nn.ModuleList(Layer(width, n_heads=n_heads, ffn_width=ffn_width) for _ in range(n_layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Tensor) -> Tensor:
        """Run every layer over a window.

        inputs (Tensor): Word vectors whose numbers have a variance near 1 / n_in. Shape: (batch, seq, n_in).
        RETURNS (Tensor): At least float32. Shape: (batch, seq, width).
        """
        values = inputs * math.sqrt(inputs.shape[2])  # section 3.4: as large as the positions
        if self.projection is not None:
            values = self.projection(values)  # (batch, seq, width)
        if self.positions == "sine":
            values = values + sine_positions(values)
        found: List[Tensor] = []
        for layer in self.layers:
            values = layer(values, dropout=self.dropout if self.training else 0.0)
            found.append(values)
        return at_least_float32(self.norm(torch.stack(found).sum(0) if self.outputs == "sum" else values))


class Layer(nn.Module):
    """Attention to the past, then two products at each place by itself; each half is added to what it read.

    width, n_heads, ffn_width (int): As for `Transformer`.
    """

    def __init__(self, width: int, *, n_heads: int, ffn_width: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.ffn_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_input, self.attention_output = _linear(width, 3 * width), _linear(width, width)
        self.ffn_input, self.ffn_output = _linear(width, ffn_width), _linear(ffn_width, width)

    def forward(self, values: Tensor, *, dropout: float) -> Tensor:
        """values (Tensor): Shape: (batch, seq, width). RETURNS (Tensor): The same shape."""
        is_train = dropout > 0
        values = values + locked_dropout(self._attend(self.attention_norm(values)), dropout, is_train=is_train)
        changed = self.ffn_output(torch.relu(self.ffn_input(self.ffn_norm(values))))
        return values + locked_dropout(changed, dropout, is_train=is_train)

    def _attend(self, values: Tensor) -> Tensor:
        """(batch, seq, width) to the same."""
        heads = self.attention_input(values).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, contents = heads.unbind()  # (batch, heads, seq, width / heads) each
        attended = F.scaled_dot_product_attention(queries, keys, contents, is_causal=True)
        result: Tensor = self.attention_output(attended.transpose(1, 2).flatten(2))
        return result


def sine_positions(values: Tensor) -> Tensor:
    """Waves of rising length over the places, sine and cosine in turns (Vaswani et al. 2017, section 3.5).

    values (Tensor): What they shall be added to. Shape: (batch, seq, width).
    RETURNS (Tensor): Shape: (seq, width).
    """
    seq, width = values.shape[1:]
    places = torch.arange(seq, dtype=torch.float32, device=values.device)[:, None]
    channels = torch.arange(0, width, 2, dtype=torch.float32, device=values.device)
    angles = places * torch.exp(-math.log(_LONGEST_WAVE) * channels / width)  # (seq, width / 2, rounded up)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width].to(values.dtype)


def _linear(n_in: int, n_out: int) -> Linear:
    """As lamb begins: a normal law whose variance is 1 / fan-in, and a bias of 0."""
    made = Linear(n_in, n_out)
    nn.init.normal_(made.weight, std=1 / math.sqrt(n_in))
    nn.init.zeros_(made.bias)
    return made
