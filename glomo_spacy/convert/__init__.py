"""Foreign checkpoints to ours."""

from .official_glomo import ConvertedGlomo, convert_official_glomo

__all__ = ["ConvertedGlomo", "convert_official_glomo"]
