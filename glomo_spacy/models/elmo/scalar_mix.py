"""Learned mixtures of a biLM's layers.

Source: Peters et al. 2018, section 3.2, equation 1: gamma * sum_j softmax(w)_j h_j, each layer normalised if asked.
"""

from typing import List, Optional, Sequence, Union

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ...errors import Errors

OFF = -1e4  # the logit of a layer that is switched off: its weight is exactly 0 in float32
_EPSILON = 1e-12  # added to a variance before it divides

Layers = npt.NDArray[np.float32]


class ScalarMix(nn.Module):
    """One or several mixtures of the same layers.

    n_layers (int): Layers to mix, the token vectors counted as one.
    n_mixes (int): Independent mixtures, such as one for a task model's input and one for its output.
    layer_norm (bool): Normalise each layer by mean and variance over all real elements of the batch, without a gain.
    l2 (float): Strength of the penalty on the weights. 0.001 lets them vary, 1 makes the mixture a plain mean.
    trainable (bool): Learn weights and gamma; otherwise they stay where they are.
    active (Optional[Sequence[int]]): Layers, counted from 0, that take part. None: all.
    RAISES: ValueError G101 for a number out of range, G106 if no layer or an unknown one is active.
    """

    is_on: Tensor

    def __init__(
        self,
        n_layers: int,
        *,
        n_mixes: int = 1,
        layer_norm: bool = False,
        l2: float = 0.0,
        trainable: bool = True,
        active: Optional[Sequence[int]] = None,
    ) -> None:
        super().__init__()
        for name, value in (("n_layers", n_layers), ("n_mixes", n_mixes)):
            if value < 1:
                raise ValueError(Errors.G101.format(name=name, expected="a whole number above 0", value=value))
        if l2 < 0:
            raise ValueError(Errors.G101.format(name="l2", expected="0 or above", value=l2))
        on = range(n_layers) if active is None else active
        if not len(on) or not set(on) <= set(range(n_layers)):
            raise ValueError(Errors.G106.format(found=list(on), last=n_layers - 1))
        self.n_layers, self.n_mixes, self.layer_norm, self.l2 = n_layers, n_mixes, layer_norm, l2
        self.weights = nn.Parameter(torch.zeros(n_mixes, n_layers), requires_grad=trainable)
        self.gamma = nn.Parameter(torch.ones(n_mixes), requires_grad=trainable)
        is_on = torch.tensor([layer in set(on) for layer in range(n_layers)])
        self.register_buffer("is_on", is_on, persistent=False)

    def forward(self, layers: Tensor, *, mask: Optional[Tensor] = None) -> List[Tensor]:
        """Mix.

        layers (Tensor): Shape: (layers, ..., width), e.g. (layers, tokens, width) or (layers, batch, seq, width).
        mask (Optional[Tensor]): True for real tokens; it matters to layer normalisation alone. Shape: (...).
        RETURNS (List[Tensor]): One mixture after the other. Shape of each: (..., width).
        """
        if self.layer_norm:
            layers = normalized(layers, mask)
        shares = self.shares()
        return [self.gamma[mix] * torch.tensordot(shares[mix], layers, dims=1) for mix in range(self.n_mixes)]

    def shares(self) -> Tensor:
        """How much each layer counts, 0 for those switched off; rows sum to 1. Shape: (mixes, layers)."""
        return torch.softmax(self.weights.masked_fill(~self.is_on, OFF), dim=1)

    def penalty(self) -> Tensor:
        """What to add to the loss: l2 * |w|^2 over all mixtures. Shape: ()."""
        return self.l2 * (self.weights * self.is_on).square().sum()


def normalized(layers: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    """Each layer less its mean and divided by its deviation, both over all real elements.

    layers (Tensor): Shape: (layers, ..., width).
    mask (Optional[Tensor]): True for real tokens. Shape: (...).
    RETURNS (Tensor): The same shape; padding is 0.
    """
    if not layers.numel():
        return layers
    flat = layers.flatten(1, -2)  # (layers, tokens, width)
    real = torch.ones_like(flat[0, :, :1]) if mask is None else mask.reshape(-1, 1).to(flat)  # (tokens, 1)
    count = (real.sum() * flat.shape[-1]).clamp(min=1)
    mean = (flat * real).sum((1, 2), keepdim=True) / count  # (layers, 1, 1)
    centred = (flat - mean) * real
    variance = centred.square().sum((1, 2), keepdim=True) / count
    return (centred / (variance + _EPSILON).sqrt()).view_as(layers)


def mix_layers(
    layers: Union[Layers, Sequence[Layers]], weights: Sequence[float], gamma: float, *, layer_norm: bool = False
) -> Union[Layers, List[Layers]]:
    """Mix the layers of one or several sentences with given weights; arguments as for `BiLM.mix`."""
    sentences = [layers] if isinstance(layers, np.ndarray) else list(layers)
    if not sentences:
        return []
    if len(weights) != len(sentences[0]):
        raise ValueError(Errors.G110.format(found=len(weights), expected=len(sentences[0])))
    joined = torch.from_numpy(np.concatenate(sentences, axis=1))  # (layers, tokens, width)
    if layer_norm:
        joined = normalized(joined)
    shares = torch.softmax(torch.as_tensor(weights, dtype=joined.dtype), dim=0)
    mixed = (gamma * torch.tensordot(shares, joined, dims=1)).numpy()  # (tokens, width)
    parts = np.split(mixed, np.cumsum([sentence.shape[1] for sentence in sentences])[:-1])
    return parts[0] if isinstance(layers, np.ndarray) else parts
