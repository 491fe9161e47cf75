"""The Mogrifier LSTM language model (Melis et al. 2020), and its plain relatives."""

from .cell import MogrifierLSTM, mogrify
from .cell_settings import CellSettings
from .config import MogrifierConfig
from .language_model import LanguageModel
from .lstm import Stack, State
from .scoring import Annotation
from .spelling import Spelling

__all__ = [
    "Annotation",
    "CellSettings",
    "LanguageModel",
    "MogrifierConfig",
    "MogrifierLSTM",
    "Spelling",
    "Stack",
    "State",
    "mogrify",
]
