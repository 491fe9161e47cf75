"""ELMo: bidirectional language models whose layers are features (Peters et al. 2018)."""

from ..precision import set_precision
from .bilm import BiLM
from .char_cnn import CharCNN, Highway
from .config import ElmoConfig
from .lstm import CELLS, LSTMStack, State
from .scalar_mix import ScalarMix
from .state import BiLMState
from .word_cache import WordCache

__all__ = [
    "CELLS",
    "BiLM",
    "BiLMState",
    "CharCNN",
    "ElmoConfig",
    "Highway",
    "LSTMStack",
    "ScalarMix",
    "State",
    "WordCache",
    "set_precision",
]
