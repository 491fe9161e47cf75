"""Pretraining in plain torch over prepared corpora: no spaCy, no Thinc, so that it runs on a bare GPU machine."""

from .loop import pretrain
from .objectives import OBJECTIVES

__all__ = ["OBJECTIVES", "pretrain"]
