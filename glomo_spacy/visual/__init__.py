"""Graphs as pages one can look at. Arrays and text in, HTML text out: no Doc, no network, no torch."""

from .graph_data import Edges, GraphName, WordGraphs, edges_from_dense
from .render import graph_names, render_graph, render_page

__all__ = [
    "Edges",
    "GraphName",
    "WordGraphs",
    "edges_from_dense",
    "graph_names",
    "render_graph",
    "render_page",
]
