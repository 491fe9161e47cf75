"""Static word vectors as they are, looked up through several casings.

Source: the look-up of the GLoMo reader and its ancestors: exact, lower-case, capitalised, upper-case.
"""

from typing import Callable, List, Optional, Tuple

from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vectors import Mode, Vectors
from spacy.vocab import Vocab
from thinc.api import Model
from thinc.types import Floats2d

from ..errors import Errors
from .types import DocBackprop, DocRows, FeatureModel

CASINGS = ("exact", "fallback")
_FALLBACK_FORMS: Tuple[Callable[[str], str], ...] = (str.lower, str.capitalize, str.upper)


@registry.architectures("glomo_spacy.WordVectors.v1")
def build_word_vectors_v1(*, casing: str = "fallback") -> FeatureModel:
    """The vectors of `nlp.vocab`, one row per token, without any projection; nothing is trained.

    Unlike spaCy's `StaticVectors`, which learns a projection, the vectors reach the next layer unchanged, and a word
    that is missing in its own casing borrows another one's vector.

    casing (str): "fallback" looks a word up exactly, then lower-case, capitalised and upper-case; "exact" only exactly.
        Makes no difference to floret vectors, which know every word.
    RETURNS (Model[List[Doc], List[Floats2d]]): Width as the vectors, known from `nlp.initialize` on. Unknown words,
        and words whose row was removed, are 0.
    RAISES: ValueError G100 for another casing; G130 when the vocabulary has no vectors; G131 when they are of another
        width than at initialisation.
    """
    if casing not in CASINGS:
        raise ValueError(Errors.G100.format(name="casing", value=casing, options=", ".join(CASINGS)))
    return Model("word_vectors", forward, init=init, dims={"nO": None}, attrs={"casing": casing})


def forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    """Look every token up; the vectors receive no gradient."""

    def backprop(d_rows: DocRows) -> List[Doc]:
        return []

    return [_doc_vectors(model, doc) for doc in docs], backprop


def init(model: FeatureModel, X: Optional[List[Doc]] = None, Y: Optional[DocRows] = None) -> None:
    """Take the width from the vocabulary of the sample."""
    if X:
        model.set_dim("nO", _checked_width(X[0].vocab))


def _doc_vectors(model: FeatureModel, doc: Doc) -> Floats2d:
    """Shape: (tokens, width)."""
    vectors, width = doc.vocab.vectors, _checked_width(doc.vocab)
    if model.has_dim("nO") and model.get_dim("nO") != width:
        raise ValueError(Errors.G131.format(found=width, expected=model.get_dim("nO")))
    keys = doc.to_array(getattr(vectors, "attr", "ORTH"))
    if not len(doc):
        return model.ops.alloc2f(0, width)
    if not isinstance(vectors, Vectors) or vectors.mode != Mode.default:
        return model.ops.asarray2f(vectors.get_batch(keys))
    rows = [_find_row(doc.vocab, int(key), model.attrs["casing"]) for key in keys]
    found = model.ops.asarray2f(vectors.data[rows])  # (tokens, width), a copy
    found[[row < 0 for row in rows]] = 0.0
    return found


def _find_row(vocab: Vocab, key: int, casing: str) -> int:
    """The row of a word in the table, -1 if it has none in any casing."""
    row: int = vocab.vectors.key2row.get(key, -1)
    if row >= 0 or casing == "exact":
        return row
    word = vocab.strings[key]
    rows = (vocab.vectors.key2row.get(get_string_id(form(word)), -1) for form in _FALLBACK_FORMS)
    return next((row for row in rows if row >= 0), -1)


def _checked_width(vocab: Vocab) -> int:
    shape = vocab.vectors.shape if vocab.vectors is not None else (0, 0)
    if len(shape) < 2 or shape[1] == 0:
        raise ValueError(Errors.G130)
    return int(shape[1])
