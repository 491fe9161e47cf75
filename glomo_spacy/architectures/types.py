"""Thinc types by name; each level of nesting is explained once, here."""

from typing import Callable, List

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d, Floats3d

DocRows = List[Floats2d]  # per Doc: one row per spaCy token, whitespace included. (tokens, width)
WindowGraphs = List[Floats3d]  # per window: (graphs, receiver, source), both axes the window's spaCy tokens
WindowIds = List[npt.NDArray[np.int64]]  # per window: one id per token the network sees. (seen,)

FeatureModel = Model[List[Doc], DocRows]  # what any spaCy component takes as its tok2vec
GraphModel = Model[List[Doc], WindowGraphs]  # not a feature: n² values per window

DocBackprop = Callable[[DocRows], List[Doc]]  # from the gradient of rows; Docs take none, so the list is empty
