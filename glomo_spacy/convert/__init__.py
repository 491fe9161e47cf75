"""Foreign checkpoints to ours and back."""

from .bilm_hdf5 import ConvertedBilm, convert_bilm, export_bilm
from .export import Exported, export_checkpoint
from .official_glomo import ConvertedGlomo, convert_official_glomo
from .official_mogrifier import ConvertedMogrifier, convert_official_mogrifier

__all__ = [
    "ConvertedBilm",
    "ConvertedGlomo",
    "ConvertedMogrifier",
    "Exported",
    "convert_bilm",
    "convert_official_glomo",
    "convert_official_mogrifier",
    "export_bilm",
    "export_checkpoint",
]
