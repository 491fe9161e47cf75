"""The gated recurrent unit, by torch's own layer (Cho et al. 2014, with torch's place of the reset gate).

    r = sigma(W_r x + R_r h)     z = sigma(W_z x + R_z h)     n = tanh(W_n x + r (R_n h))     all with biases
    h_t = (1 - z) n + z h_(t-1)

Dropout of the state acts on what R reads; the h that is carried on beside it is the whole one.
"""

from torch import Tensor, nn

from ..gru import gru_step
from .rnn import TorchLayer


class GRULayer(TorchLayer):
    """One layer.

    n_in, width (int): Of inputs and of the state.
    """

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__(nn.GRU(n_in, width))

    def step(self, from_inputs: Tensor, from_state: Tensor, hidden: Tensor) -> Tensor:
        return gru_step(from_inputs, from_state, hidden)
