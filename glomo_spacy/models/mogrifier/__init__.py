"""The Mogrifier LSTM language model (Melis et al. 2020), and its plain relatives."""

from .cell import CellSettings, MogrifierLSTM, mogrify

__all__ = ["CellSettings", "MogrifierLSTM", "mogrify"]
