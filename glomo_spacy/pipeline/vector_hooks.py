"""Let `.vector` and `.similarity` of a Doc, its spans and tokens read `doc.tensor`.

Without static vectors spaCy does that by itself. Where the vocabulary has some they would win, hence these hooks. spaCy
drops hooks when it stores a Doc or sends it between processes (its warning W109); `set_vector_hooks` adds them again.
"""

from typing import Any, Union

from spacy.tokens import Doc, Span, Token
from thinc.types import Floats1d
from thinc.util import get_array_module

HasVector = Union[Doc, Span, Token]


def set_vector_hooks(doc: Doc) -> None:
    """Make the tensor of a Doc what its vectors are made of; hooks are set only if there are static vectors."""
    setattr(doc, "vector", None)  # noqa: B010  # what spaCy remembers of an earlier tensor; its stub allows no None
    setattr(doc, "vector_norm", None)  # noqa: B010
    if not doc.vocab.vectors.size:
        return
    doc.user_hooks.update(vector=_mean, has_vector=_has_vector, vector_norm=_norm, similarity=_similarity)
    doc.user_token_hooks.update(vector=_row, has_vector=_has_vector, vector_norm=_norm, similarity=_similarity)
    # No vector_norm: in its place spaCy's spans would return the vector. Without it they take the norm of `vector`.
    doc.user_span_hooks.update(vector=_mean, has_vector=_has_vector, similarity=_similarity)


def _mean(part: Union[Doc, Span]) -> Floats1d:
    doc, (start, end) = part.doc, (0, len(part)) if isinstance(part, Doc) else (part.start, part.end)
    if start == end:
        return get_array_module(doc.tensor).zeros(doc.tensor.shape[1:], dtype="f")
    mean: Floats1d = doc.tensor[start:end].mean(axis=0)
    return mean


def _row(token: Token) -> Floats1d:
    row: Floats1d = token.doc.tensor[token.i]
    return row


def _has_vector(part: HasVector) -> bool:
    return bool(part.doc.tensor.size)


def _norm(part: HasVector) -> float:
    vector = part.vector
    return float(get_array_module(vector).linalg.norm(vector))


def _similarity(part: HasVector, other: Any) -> float:
    """The cosine of both vectors, 0 if one is zero."""
    norms = float(part.vector_norm) * float(other.vector_norm)
    return float(part.vector @ other.vector) / norms if norms else 0.0
