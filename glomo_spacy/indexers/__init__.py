"""Strings to ids, without spaCy and without networks."""

from typing import Any, Dict, Mapping, Sequence, Union

from ..errors import Errors
from .char_ids import CharIndexer
from .vocabulary import BEGIN_SENTENCE, END_SENTENCE, SPECIALS, UNKNOWN, VocabularyIndexer
from .word_ids import DIGIT_WORD, UNKNOWN_WORD, WordIndexer, build_vocabulary, count_words

Indexer = Union[WordIndexer, VocabularyIndexer, CharIndexer]

INDEXERS: Dict[str, Any] = {indexer.kind: indexer for indexer in (WordIndexer, VocabularyIndexer, CharIndexer)}


def build_indexer(section: Mapping[str, Any], words: Sequence[str]) -> Indexer:
    """The indexer of a checkpoint, from its `[indexer]` section and the lines of its `vocab.txt`.

    RAISES: ValueError G100 for an unknown kind; as the indexer's own `from_config`.
    """
    kind = section.get("kind", WordIndexer.kind)
    if kind not in INDEXERS:
        raise ValueError(Errors.G100.format(name="[indexer] kind", value=kind, options=", ".join(INDEXERS)))
    indexer: Indexer = INDEXERS[kind].from_config(section, words)
    return indexer


__all__ = [
    "BEGIN_SENTENCE",
    "DIGIT_WORD",
    "END_SENTENCE",
    "INDEXERS",
    "SPECIALS",
    "UNKNOWN",
    "UNKNOWN_WORD",
    "CharIndexer",
    "Indexer",
    "VocabularyIndexer",
    "WordIndexer",
    "build_indexer",
    "build_vocabulary",
    "count_words",
]
