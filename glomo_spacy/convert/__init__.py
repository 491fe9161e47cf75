"""Foreign checkpoints to ours and back."""

from .bilm_hdf5 import ConvertedBilm, convert_bilm, export_bilm
from .export import Exported, export_checkpoint
from .official_glomo import ConvertedGlomo, convert_official_glomo

__all__ = [
    "ConvertedBilm",
    "ConvertedGlomo",
    "Exported",
    "convert_bilm",
    "convert_official_glomo",
    "export_bilm",
    "export_checkpoint",
]
