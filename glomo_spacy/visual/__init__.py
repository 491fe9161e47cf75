"""Graphs, words in context, surprisal, answers: pages, pictures and tables. Arrays in, files out: no Doc, no torch."""

from .answer_page import Answer, AnswerExplanation, AnswerGraph, candidate_names, render_answer_page
from .graph_data import Edges, GraphName, WordGraphs, edges_from_dense
from .map_page import render_map
from .map_picture import draw_maps
from .projector import write_projector
from .render import graph_names, render_graph, render_page
from .surprisal_page import Passage, Reading, render_surprisal
from .token_map import PlacedMap, TokenMap, place_map
from .token_rows import TokenRows, collect_rows

__all__ = [
    "Answer",
    "AnswerExplanation",
    "AnswerGraph",
    "Edges",
    "GraphName",
    "Passage",
    "PlacedMap",
    "Reading",
    "TokenMap",
    "TokenRows",
    "WordGraphs",
    "candidate_names",
    "collect_rows",
    "draw_maps",
    "edges_from_dense",
    "graph_names",
    "place_map",
    "render_answer_page",
    "render_graph",
    "render_map",
    "render_page",
    "render_surprisal",
    "write_projector",
]
