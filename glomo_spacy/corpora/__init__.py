"""Text to token-id shards, and shards to training windows.

Names are resolved on first use: `prepare_corpus` needs spaCy and no torch, the windows need torch and no spaCy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bptt import EvalWindows, RandomWindows
    from .raw_text import prepare_corpus
    from .shards import ShardedCorpus

_HOMES = {
    "EvalWindows": ".bptt",
    "RandomWindows": ".bptt",
    "ShardedCorpus": ".shards",
    "prepare_corpus": ".raw_text",
}

__all__ = ["EvalWindows", "RandomWindows", "ShardedCorpus", "prepare_corpus"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
