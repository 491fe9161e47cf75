"""Components of spaCy pipelines; importing this package also installs the attributes they set."""

from .extensions import install_extensions
from .glomo import GlomoGraph, make_glomo_graph

install_extensions()

__all__ = ["GlomoGraph", "install_extensions", "make_glomo_graph"]
