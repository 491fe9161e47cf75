"""The simple recurrent network with tanh or relu, by torch's own layer: the oldest baseline (Elman 1990).

    h_t = f(W x_t + b + R h_(t-1) + b')     f = tanh or relu

Dropout of the state acts on what R reads, with one mask for all steps (Gal and Ghahramani 2016). Torch's layer cannot
do that, so then its steps are run here, with its parameters.
"""

import math
from typing import List, Optional, Tuple, TypeVar, Union

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ..precision import at_least_float32
from ..products import linear

LayerT = TypeVar("LayerT", bound="TorchLayer")
Result = Tuple[Tensor, Tensor, Tensor]


class TorchLayer(nn.Module):
    """One layer of a recurrent network of torch's, with the signature of `MogrifierLSTM`.

    network (Union[nn.RNN, nn.GRU]): One layer in one direction, time first.

    Parameters: `network.weight_ih_l0`, `network.weight_hh_l0` and their biases, as torch has them.
    """

    def __init__(self, network: Union[nn.RNN, nn.GRU]) -> None:
        super().__init__()
        self.network = network
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As lamb begins: normal laws whose variance is 1 / fan-in, and biases of 0."""
        for parameter in self.network.parameters():
            if parameter.dim() == 1:
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[1]))

    def train(self: LayerT, mode: bool = True) -> LayerT:
        super().train(mode)
        # cuDNN gives gradients in training mode only, and dynamic evaluation wants them; there is no dropout inside.
        self.network.train()
        return self

    def forward(
        self, inputs: Tensor, hidden: Tensor, cell: Tensor, sizes: List[int], *, state_mask: Optional[Tensor] = None
    ) -> Result:
        """Run over whole sequences, packed as `packing.py` has it.

        inputs (Tensor): Shape: (tokens, n_in).
        hidden (Tensor): The state before, rows in packed order. Shape: (batch, width).
        cell (Tensor): There is none; given back as it is. Shape: (batch, 0).
        sizes (List[int]): Rows in use at each step, falling.
        state_mask (Optional[Tensor]): Factors on the last output before it is multiplied. Shape: (batch, width).
        RETURNS (Result): Packed outputs (tokens, width); the state after each row's last step.
        """
        if not sizes:
            return hidden[:0], hidden, cell
        first = hidden[: sizes[0]]
        if state_mask is None:
            outputs, end = self._run(inputs, first, sizes)
        else:
            outputs, end = self._run_masked(inputs, first, sizes, state_mask)
        return at_least_float32(outputs), torch.cat([at_least_float32(end), hidden[sizes[0] :]]), cell

    def step(self, from_inputs: Tensor, from_state: Tensor, hidden: Tensor) -> Tensor:
        """The next state, from both products (rows, n_gates * width), biases included, and the state (rows, width)."""
        raise NotImplementedError

    def _run(self, inputs: Tensor, hidden: Tensor, sizes: List[int]) -> Tuple[Tensor, Tensor]:
        """By torch, for which our layout of sequences is a `PackedSequence`."""
        if sizes[-1] == sizes[0]:
            outputs, end = self.network(inputs.view(len(sizes), sizes[0], -1), hidden[None])
            return outputs.flatten(0, 1), end[0]
        packed, end = self.network(PackedSequence(inputs, torch.tensor(sizes)), hidden[None])
        return packed.data, end[0]

    def _run_masked(self, inputs: Tensor, hidden: Tensor, sizes: List[int], mask: Tensor) -> Tuple[Tensor, Tensor]:
        """Step by step."""
        input_weight, hidden_weight, input_bias, hidden_bias = self.network.parameters()
        outputs: List[Tensor] = []
        for rows in at_least_float32(linear(inputs, input_weight, input_bias)).split(sizes):
            before = hidden[: len(rows)]
            from_state = linear(before * mask[: len(rows)], hidden_weight, hidden_bias)
            outputs.append(self.step(rows, from_state, before))
            hidden = torch.cat([outputs[-1], hidden[len(rows) :]])
        return torch.cat(outputs), hidden


class RNNLayer(TorchLayer):
    """One layer of the simple recurrent network.

    n_in, width (int): Of inputs and of the state.
    activation (str): "tanh" or "relu".
    """

    network: nn.RNN

    def __init__(self, n_in: int, width: int, *, activation: str) -> None:
        super().__init__(nn.RNN(n_in, width, nonlinearity=activation))

    def step(self, from_inputs: Tensor, from_state: Tensor, hidden: Tensor) -> Tensor:
        total = from_inputs + from_state
        return torch.relu(total) if self.network.nonlinearity == "relu" else torch.tanh(total)
