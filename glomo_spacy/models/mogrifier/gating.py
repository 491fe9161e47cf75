"""The gating rounds of a Mogrifier cell at one step, and their gradients.

Source: Melis et al. 2020, equations 1 and 2; see `cell.py`. The factors 2 of all rounds are left out here and go into
the matrices that read the result, so that a round is one sigmoid and one product of numbers:

    x <- sigma(2^b Q h + q) x        b: how often h has been scaled before
    h <- sigma(2^a R x + r) h        a: how often x has
"""

from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from .matrices import Factors, Matrix, Precision


class Round(NamedTuple):
    """What a round leaves for the way back, at one step or packed over all.

    gate (Tensor): The sigmoid. Shape: (rows, m), or (rows, n) in even rounds.
    scaled (Tensor): Input or state after it, without the factors 2. Shape: the same.
    """

    gate: Tensor
    scaled: Tensor


def factors_left_out(n_rounds: int) -> Tuple[float, float]:
    """2^a and 2^b after so many rounds."""
    return 2.0 ** ((n_rounds + 1) // 2), 2.0 ** (n_rounds // 2)


def prepare_gates(gates: Sequence[Factors], precision: Precision) -> List[Matrix]:
    """The matrices of all rounds.

    gates (Sequence[Factors]): Q_1, R_1, Q_2, R_2, …
    """
    scales = [factors_left_out(index)[(index + 1) % 2] for index in range(len(gates))]
    return [Matrix(gate, precision, scale=scale) for gate, scale in zip(gates, scales)]


def gate(x: Tensor, h: Tensor, matrices: Sequence[Matrix], trace: Sequence[Round]) -> Tuple[Tensor, Tensor]:
    """All rounds.

    x, h (Tensor): Input and state of one step. Shapes: (rows, m), (rows, n).
    matrices (Sequence[Matrix]): As `prepare_gates` makes them.
    trace (Sequence[Round]): Is filled.
    RETURNS (Tuple[Tensor, Tensor]): x and h without the factors 2.
    """
    for index, (matrix, (sigmoid, scaled)) in enumerate(zip(matrices, trace)):
        if index % 2 == 0:
            torch.sigmoid(matrix(h), out=sigmoid)
            x = torch.mul(x, sigmoid, out=scaled)
        else:
            torch.sigmoid(matrix(x), out=sigmoid)
            h = torch.mul(h, sigmoid, out=scaled)
    return x, h


def gate_back(
    d_x: Tensor,
    d_h: Tensor,
    x: Tensor,
    h: Tensor,
    transposed: Sequence[Matrix],
    trace: Sequence[Round],
    d_gates: Sequence[Tensor],
) -> None:
    """Turn the gradients of x and h after all rounds into those before, in place; arguments as for `gate`.

    d_x, d_h (Tensor): The gradients. Shapes: (rows, m), (rows, n).
    transposed (Sequence[Matrix]): Each of its matrices, transposed.
    d_gates (Sequence[Tensor]): Is filled with the gradients before the sigmoids.
    """
    for index in reversed(range(len(trace))):
        before = trace[index - 2].scaled if index >= 2 else (x, h)[index]
        sigmoid, d_gate = trace[index].gate, d_gates[index]
        d_scaled, d_other = (d_x, d_h) if index % 2 == 0 else (d_h, d_x)
        torch.mul(d_scaled, before, out=d_gate)
        torch.ops.aten.sigmoid_backward.grad_input(d_gate, sigmoid, grad_input=d_gate)
        d_scaled.mul_(sigmoid)
        d_other.add_(transposed[index](d_gate))


def gate_gradients(
    inputs: Tensor, hidden: Tensor, matrices: Sequence[Matrix], trace: Sequence[Round], d_gates: Sequence[Tensor]
) -> List[Factors]:
    """Gradients of all matrices, over all steps at once.

    inputs, hidden (Tensor): x and h before the rounds, packed. Shapes: (tokens, m), (tokens, n).
    trace, d_gates: Packed.
    """
    found, values = [], [inputs, hidden]
    for index, matrix in enumerate(matrices):
        found.append(matrix.gradients(d_gates[index], values[(index + 1) % 2]))
        values[index % 2] = trace[index].scaled
    return found
