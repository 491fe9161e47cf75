"""Components of spaCy pipelines; importing this package also installs the attributes they set."""

from .checks import check_pipeline, find_mistakes
from .elmo import Elmo, make_elmo
from .extensions import install_extensions
from .glomo import GlomoGraph, make_glomo_graph
from .mogrifier import MogrifierLM, make_mogrifier_lm
from .qa import ExtractiveQA, ask, make_extractive_qa, question_docs
from .vector_hooks import set_vector_hooks

install_extensions()

__all__ = [
    "Elmo",
    "ExtractiveQA",
    "GlomoGraph",
    "MogrifierLM",
    "ask",
    "check_pipeline",
    "find_mistakes",
    "install_extensions",
    "make_elmo",
    "make_extractive_qa",
    "make_glomo_graph",
    "make_mogrifier_lm",
    "question_docs",
    "set_vector_hooks",
]
