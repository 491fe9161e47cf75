"""Which variant of the cell in `cell.py` a layer has."""

from dataclasses import dataclass
from typing import Optional

INPUT_GATES = ("capped", "tied", "free")
NORM_EPSILON = 1e-5  # lamb: 1e-9, which float32 cannot tell from 0 beside ordinary variances


@dataclass(frozen=True)
class CellSettings:
    """Everything that makes one layer.

    input_width (int): Width m of its inputs.
    cell_width (int): Width of its cell.
    rounds (int): Gating rounds as the paper counts them, 0 for a plain LSTM.
    rank (Optional[int]): Each gate's matrix is the product of two that meet at this width. None: full.
    input_gate (str): "capped" (lamb), "tied" or "free".
    gate_bias (bool): Biases in the gating rounds.
    layer_norm (bool): Normalise W x, R h and the cell that is put out.
    cell_clip (Optional[float]): Cells are clipped to +- this. None: not at all.
    proj_width (Optional[int]): Project outputs to this width. None: outputs are as wide as the cell.
    proj_clip (Optional[float]): Outputs are clipped to +- this, projected or not. None: not at all.
    forget_bias (float): Added to the forget gate at run time, never stored.
    """

    input_width: int
    cell_width: int
    rounds: int = 5
    rank: Optional[int] = None
    input_gate: str = "capped"
    gate_bias: bool = True
    layer_norm: bool = False
    cell_clip: Optional[float] = None
    proj_width: Optional[int] = None
    proj_clip: Optional[float] = None
    forget_bias: float = 1.0

    @property
    def hidden_width(self) -> int:
        """Width n of its outputs."""
        return self.proj_width or self.cell_width

    @property
    def n_gates(self) -> int:
        """Gates that have weights: a tied input gate has none."""
        return 3 if self.input_gate == "tied" else 4
