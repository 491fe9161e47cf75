"""Thinc types by name; each level of nesting is explained once, here."""

from typing import Callable, List, Tuple, TypeVar

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d, Floats3d, Ints1d

DocRows = List[Floats2d]  # per Doc: one row per spaCy token, whitespace included. (tokens, width)
WindowRows = List[Floats2d]  # per window: one row per token the network sees, whitespace left out. (seen, width)
WindowGraphs = List[Floats3d]  # per window: (graphs, receiver, source), both axes the window's spaCy tokens
WindowIds = List[Ints1d]  # per window: one id per token the network sees. (seen,)

FeatureModel = Model[List[Doc], DocRows]  # what any spaCy component takes as its tok2vec
GraphModel = Model[List[Doc], WindowGraphs]  # not a feature: n² values per window

X = TypeVar("X")
Y = TypeVar("Y")
WithBackprop = Tuple[Y, Callable[[Y], X]]  # an output, and the function from its gradient to the input's gradient
