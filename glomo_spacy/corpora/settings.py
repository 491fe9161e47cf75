"""What the settings of all kinds of corpora have in common: their ranges, and how much text is held out."""

from types import MappingProxyType
from typing import Any, Mapping, Optional

from ..errors import Errors
from .text_files import DOCUMENT_MARKS


def check_settings(settings: Any, *, at_least: Mapping[str, int] = MappingProxyType({})) -> None:
    """Refuse settings of a corpus, of documents or of sentences, that are out of range.

    settings (Any): `CorpusSettings` or `SentenceSettings`.
    at_least (Mapping[str, int]): Lowest values of further whole numbers.
    RAISES: G908 (ValueError).
    """
    lowest_of = {"max_words": 1, "min_count": 1, "dev_documents": 0, "seed": 0, "shard_tokens": 1, **at_least}
    for name, lowest in lowest_of.items():
        value = getattr(settings, name)
        if value is not None and value < lowest:
            raise ValueError(Errors.G908.format(name=name, expected=f"at least {lowest}", value=value))
    if not 0 <= settings.dev_fraction < 1:
        expected = "at least 0 and below 1"
        raise ValueError(Errors.G908.format(name="dev_fraction", expected=expected, value=settings.dev_fraction))
    if settings.documents is not None and settings.documents not in DOCUMENT_MARKS:
        expected = f"one of {', '.join(DOCUMENT_MARKS)}"
        raise ValueError(Errors.G908.format(name="documents", expected=expected, value=settings.documents))


def count_held_out(n_documents: int, *, fraction: float, number: Optional[int], mark: str) -> int:
    """How many of so many documents are held out: `number`, or else a fraction of them, at least one if above 0.

    RAISES: G009 (ValueError) if none is left; `mark` says in it what separates documents.
    """
    n_held_out = number if number is not None else max(round(n_documents * fraction), int(fraction > 0))
    if n_held_out >= n_documents:
        raise ValueError(Errors.G009.format(n_held_out=n_held_out, n_documents=n_documents, documents=mark))
    return n_held_out
