"""Strings to ids, without spaCy and without networks."""

from .word_ids import DIGIT_WORD, UNKNOWN_WORD, WordIndexer, build_vocabulary, count_words

__all__ = ["DIGIT_WORD", "UNKNOWN_WORD", "WordIndexer", "build_vocabulary", "count_words"]
