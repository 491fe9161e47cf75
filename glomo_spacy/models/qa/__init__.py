"""Extractive question answering: a reader of a context and a question (Yang et al. 2018, section 4.1)."""

from .characters import CharacterEncoder
from .config import ReaderConfig
from .decoding import best_spans
from .explanation import GraphUse, ReaderExplanation
from .reader import ReaderModel
from .side import Side
from .trnn import TRNN

__all__ = [
    "TRNN",
    "CharacterEncoder",
    "GraphUse",
    "ReaderConfig",
    "ReaderExplanation",
    "ReaderModel",
    "Side",
    "best_spans",
]
