"""Mogrifier cells for a biLM: a word and the state before it gate each other, then the LSTM's step follows.

Source: Melis et al. 2020 (arXiv 1909.01792), section 2, in place of the LSTM of Peters et al. 2018; widths, clips,
skip connections and forget bias stay the biLM's. The equations stand in `mogrifier/cell.py`.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Mapping, Optional

from ...errors import Errors
from ..config_checks import is_whole
from ..mogrifier.cell import MogrifierLSTM
from ..mogrifier.cell_settings import INPUT_GATES, CellSettings

if TYPE_CHECKING:
    from .config import ElmoConfig


@dataclass(frozen=True)
class MogrifierOptions:
    """A config's `cell_options` where `cell` is "mogrifier".

    rounds (int): Gating rounds as the paper counts them; 0 leaves a plain LSTM. Published: 5 or 6.
    rank (Optional[int]): Each gate's matrix is the product of two that meet at this width. None: full.
    input_gate (str): "free" as in the biLM's LSTM; "capped", published with the Mogrifier, or "tied".
    RAISES: ValueError G100 for another input gate, G101 for a number out of range.
    """

    rounds: int = 5
    rank: Optional[int] = None
    input_gate: str = "capped"

    def __post_init__(self) -> None:
        if not is_whole(self.rounds, 0):
            raise _out_of_range("rounds", "a whole number, 0 or more", self.rounds)
        if self.rank is not None and not is_whole(self.rank, 1):
            raise _out_of_range("rank", "a whole number above 0, or null for full matrices", self.rank)
        if self.input_gate not in INPUT_GATES:
            options = ", ".join(INPUT_GATES)
            raise ValueError(Errors.G100.format(name="cell_options.input_gate", value=self.input_gate, options=options))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MogrifierOptions":
        """Build from a config section. RAISES: ValueError G156 for an unknown name."""
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(Errors.G156.format(found=", ".join(unknown), cell="mogrifier", known=", ".join(known)))
        return cls(**values)


class ProjectedMogrifier(MogrifierLSTM):
    """One layer.

    config (ElmoConfig): Widths, clips, forget bias and `cell_options`.

    Parameters: those of `MogrifierLSTM`, m and n both `projection_width`.
    """

    def __init__(self, config: "ElmoConfig") -> None:
        options = MogrifierOptions.from_dict(config.cell_options)
        settings = CellSettings(
            config.projection_width,
            config.cell_width,
            rounds=options.rounds,
            rank=options.rank,
            input_gate=options.input_gate,
            cell_clip=config.cell_clip,
            proj_width=config.projection_width,
            proj_clip=config.proj_clip,
            forget_bias=config.forget_bias,
        )
        super().__init__(settings)


def _out_of_range(name: str, expected: str, value: Any) -> ValueError:
    return ValueError(Errors.G101.format(name=f"cell_options.{name}", expected=expected, value=value))
