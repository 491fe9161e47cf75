"""Networks in plain torch: no spaCy, no Thinc."""

from .checkpoint import load_checkpoint, read_checkpoint, save_checkpoint

__all__ = ["load_checkpoint", "read_checkpoint", "save_checkpoint"]
