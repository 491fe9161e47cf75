"""Key and query encoders: stacks of causal convolutions that see a token and its recent past.

Source: Yang et al. 2018, section 3.1 (key CNN, query CNN). One block is convolution, batch norm, ReLU. Unlike the
published code, batch statistics are taken over real positions only: padding, and the tail that a convolution padded on
both sides adds, take no part in them.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..dropout import locked_dropout
from ..precision import at_least_float32
from ..processes import is_distributed, sum_over_processes
from ..products import linear
from .config import GlomoConfig


class MaskedBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) whose statistics are those of the real positions of all processes.

    width (int): Channels.
    is_affine (bool): Learn a scale and an offset per channel.
    momentum (float): Share of a batch in the running statistics.
    epsilon (float): Added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, *, is_affine: bool = True, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width)) if is_affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if is_affine else None
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, values: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Normalise each channel.

        values (Tensor): Shape: (batch, seq, width).
        mask (Optional[Tensor]): True for real tokens; None if all are. Shape: (batch, seq).
        RETURNS (Tensor): Shape: (batch, seq, width).
        """
        if self.training and (mask is not None or is_distributed()):
            mean, variance = self._real_statistics(values.flatten(0, 1) if mask is None else values[mask])
            normed = (values - mean) * torch.rsqrt(variance + self.epsilon)
            return normed if self.weight is None or self.bias is None else normed * self.weight + self.bias
        return F.batch_norm(
            values.flatten(0, 1),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.epsilon,
        ).view_as(values)  # (batch, seq, width)

    def scale_and_shift(self) -> Tuple[Tensor, Tensor]:
        """The norm in evaluation mode: values * scale + shift. Shapes: (width,)."""
        scale = torch.rsqrt(at_least_float32(self.running_var) + self.epsilon)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -self.running_mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        return scale.to(self.running_var.dtype), shift.to(self.running_var.dtype)

    def _real_statistics(self, real: Tensor) -> Tuple[Tensor, Tensor]:
        """Mean and variance over all processes, float32, shape (width,); moves the running statistics towards them."""
        real = at_least_float32(real)  # (positions, width)
        count = torch.full_like(real[0, :1], len(real))  # (1,)
        sums = sum_over_processes(torch.cat([real.sum(0), count]))  # (width + 1,)
        mean, total = sums[:-1] / sums[-1], sums[-1].detach()
        # Centred first: no cancellation.
        squares = sum_over_processes((real - mean).square().sum(0))  # (width,)
        variance = squares / total
        with torch.no_grad():
            unbiased = squares.detach() / (total - 1).clamp(min=1.0)
            self.running_mean.lerp_(mean.detach().to(self.running_mean), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        return mean, variance


class EncoderBlock(nn.Module):
    """Causal convolution, batch norm, ReLU: output t sees the inputs t - kernel_size + 1 to t.

    width (int): Channels in and out.
    kernel_size (int): Tokens seen; 1 is a feed-forward block.
    """

    def __init__(self, width: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.conv = nn.Conv1d(width, width, kernel_size)
        self.norm = MaskedBatchNorm(width)

    def forward(self, values: Tensor, mask: Optional[Tensor]) -> Tensor:
        """values and result: (batch, seq, width); mask: (batch, seq) or None."""
        # One product over the unfolded input is faster than conv1d and keeps channels last for the batch norm.
        past = unfold_past(values, self.kernel_size)  # (batch, seq, kernel * width)
        weight = self.conv.weight.transpose(1, 2).flatten(1)  # (width, kernel * width), oldest token first
        if self.training:
            return F.relu(self.norm(linear(past, weight, self.conv.bias), mask))
        scale, shift = self.norm.scale_and_shift()  # (width,) each: the norm becomes part of the convolution
        return F.relu_(
            linear(past, weight * scale[:, None], shift if self.conv.bias is None else self.conv.bias * scale + shift)
        )


class SequenceEncoder(nn.Module):
    """A stack of blocks; the common form of `KeyCNN` and `QueryCNN`.

    config (GlomoConfig): Width, kernel and dropout.
    n_layers (int): Blocks.
    """

    def __init__(self, config: GlomoConfig, n_layers: int) -> None:
        super().__init__()
        kernel_size = config.kernel_size if config.encoder == "cnn" else 1
        self.dropout = config.dropout
        self.blocks = nn.ModuleList(EncoderBlock(config.width, kernel_size) for _ in range(n_layers))

    def forward(self, embeddings: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Encode each position from its recent past.

        embeddings (Tensor): Shape: (batch, seq, width). Padding at the right, so no real position ever sees it.
        mask (Optional[Tensor]): True for real tokens. Shape: (batch, seq).
        RETURNS (Tensor): Shape: (batch, seq, width).
        """
        values = locked_dropout(embeddings, self.dropout, is_train=self.training)
        for block in self.blocks:
            values = block(values, mask)
        return values


class KeyCNN(SequenceEncoder):
    """What a token offers to later ones (Yang et al. 2018, section 3.1)."""

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__(config, config.n_key_layers)


class QueryCNN(SequenceEncoder):
    """What a token looks for among earlier ones (Yang et al. 2018, section 3.1)."""

    def __init__(self, config: GlomoConfig) -> None:
        super().__init__(config, config.n_query_layers)


def unfold_past(values: Tensor, kernel_size: int) -> Tensor:
    """Put each position's recent past side by side, zeros before the first token.

    values (Tensor): Shape: (batch, seq, width).
    kernel_size (int): Positions side by side, oldest first.
    RETURNS (Tensor): Shape: (batch, seq, kernel_size * width).
    """
    if kernel_size == 1:
        return values
    seq = values.shape[1]
    padded = F.pad(values, (0, 0, kernel_size - 1, 0))  # (batch, kernel_size - 1 + seq, width)
    return torch.cat([padded[:, step : step + seq] for step in range(kernel_size)], dim=-1)
