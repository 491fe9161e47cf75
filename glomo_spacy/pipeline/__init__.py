"""Components of spaCy pipelines; importing this package also installs the attributes they set."""

from .elmo import Elmo, make_elmo
from .extensions import install_extensions
from .glomo import GlomoGraph, make_glomo_graph
from .mogrifier import MogrifierLM, make_mogrifier_lm
from .vector_hooks import set_vector_hooks

install_extensions()

__all__ = [
    "Elmo",
    "GlomoGraph",
    "MogrifierLM",
    "install_extensions",
    "make_elmo",
    "make_glomo_graph",
    "make_mogrifier_lm",
    "set_vector_hooks",
]
