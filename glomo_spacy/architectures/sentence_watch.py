"""Does a network that goes by sentence see sentences in training as it does in use?

spaCy shows each component of `nlp.update` the bare Docs, without what earlier components set, unless those annotate.
Where a config says how a pipeline is trained, `pipeline.checks` finds this before training begins; here it is noticed
in any training, from Python too.
"""

import warnings
from typing import Sequence

from spacy.tokens import Doc

from ..errors import Warnings

_ENDS = frozenset(".!?")


class SentenceWatch:
    """Warns once when Docs come by sentence to what was trained on whole texts.

    A text counts as whole if it has no sentence boundaries and words behind a full stop, an exclamation or a question
    mark: who trains on single sentences sees no difference.
    """

    def __init__(self) -> None:
        self._was_trained_on_texts = False
        self._has_warned = False

    def look(self, docs: Sequence[Doc], *, name: str, is_train: bool) -> None:
        """Take note of Docs in training, compare those in use.

        name (str): Of the model, for the warning G168.
        """
        if self._has_warned:
            return
        if is_train:
            self._was_trained_on_texts = self._was_trained_on_texts or any(map(_is_whole_text, docs))
        elif self._was_trained_on_texts and any(map(_is_by_sentence, docs)):
            self._has_warned = True
            warnings.warn(Warnings.G168.format(name=name), UserWarning, stacklevel=2)


def _is_whole_text(doc: Doc) -> bool:
    if doc.has_annotation("SENT_START"):
        return False
    ends = [token.i for token in doc if token.text in _ENDS]
    return bool(ends) and any(token.is_alpha for token in doc[ends[0] + 1 :])


def _is_by_sentence(doc: Doc) -> bool:
    return doc.has_annotation("SENT_START") and any(token.is_sent_start for token in doc[1:])
