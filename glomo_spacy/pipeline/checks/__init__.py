"""What would cost an afternoon, said before training begins: `check_pipeline` and its registered callback.

One file per kind of mistake: `listening` (which vectors a component reads, and how wide they are), `annotating` (what
must be set on Docs in training as well), `weights` (what has none, or others than it should).
"""

from .check import check_pipeline, create_check_pipeline_v1, find_mistakes
from .finding import Finding

__all__ = ["Finding", "check_pipeline", "create_check_pipeline_v1", "find_mistakes"]
