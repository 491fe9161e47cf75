"""Relational graphs, contextual vectors and language-model features, learned from raw text, for spaCy pipelines.

Importing this package is cheap: nothing heavier than the standard library is loaded until a name is used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each name of the Python surface lives; resolved on first use so that `import glomo_spacy` stays light.
_LAZY_NAMES = {
    "Embedder": "glomo_spacy.embedder",
    "RelationalGraph": "glomo_spacy.graphs",
    "ask": "glomo_spacy.pipeline",
    "check_pipeline": "glomo_spacy.pipeline",
    "load_checkpoint": "glomo_spacy.models.checkpoint",
    "question_docs": "glomo_spacy.pipeline",
    "visualize": "glomo_spacy.cli.visualize",
}

__all__ = [
    "Embedder",
    "RelationalGraph",
    "__version__",
    "ask",
    "check_pipeline",
    "load_checkpoint",
    "question_docs",
    "visualize",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY_NAMES:
        return getattr(import_module(_LAZY_NAMES[name]), name)
    raise AttributeError(f"module 'glomo_spacy' has no attribute {name!r}")
