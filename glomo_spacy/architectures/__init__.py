"""Registered architectures: torch networks as Thinc models that spaCy's configs can name."""

from .glomo import build_glomo_graph_v1, glomo_config, relational_graphs
from .seam import Window, doc_windows

__all__ = ["Window", "build_glomo_graph_v1", "doc_windows", "glomo_config", "relational_graphs"]
