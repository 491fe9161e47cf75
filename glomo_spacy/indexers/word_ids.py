"""Words to ids over a closed vocabulary whose last word stands for all others.

Source: the pretraining data of Yang et al. 2018 as their code reads it: words sorted by count, highest first, cut, one
unknown word appended; a token that holds a digit is looked up as `N`.
"""

import re
from collections import Counter
from itertools import islice
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors

UNKNOWN_WORD = "<unk>"
DIGIT_WORD = "N"
CASINGS = ("exact", "lower", "fallback")

_HAS_DIGIT = re.compile(r"\d").search
_CACHE_SIZE = 1 << 20  # forms remembered by one indexer: some 100 MB at most


class WordIndexer:
    """Look up words in a closed vocabulary.

    words (Sequence[str]): The vocabulary; the place of a word is its id and the last one is the unknown word `<unk>`.
    digits (bool): Look up every token that holds a digit as `N`.
    casing (str): "exact" looks up the word as it stands, "lower" in lower case, "fallback" takes the first known of the
        exact, lower, capitalised and upper form.
    lang (str): Language of the tokeniser whose tokens the vocabulary counts, as in `spacy.blank(lang)`.
    RAISES: G001 if words are missing, doubled or do not end with `<unk>`; G002 for an unknown casing.
    """

    kind = "words"

    def __init__(self, words: Sequence[str], *, digits: bool = True, casing: str = "lower", lang: str = "en") -> None:
        if casing not in CASINGS:
            raise ValueError(Errors.G002.format(casing=casing, options=", ".join(CASINGS)))
        self.words: Tuple[str, ...] = tuple(words)
        self.digits = digits
        self.casing = casing
        self.lang = lang
        self._ids: Dict[str, int] = {word: index for index, word in enumerate(self.words)}
        if not self.words or self.words[-1] != UNKNOWN_WORD or len(self._ids) != len(self.words):
            raise ValueError(Errors.G001.format(found=_what_is_wrong(self.words), unknown=UNKNOWN_WORD))
        self._seen: Dict[str, int] = {}

    @property
    def unknown_id(self) -> int:
        """Id of the unknown word: the last one."""
        return len(self.words) - 1

    @property
    def config(self) -> Dict[str, Any]:
        """The `[indexer]` section of a checkpoint; `from_config` reads it back."""
        return {"kind": self.kind, "digits": self.digits, "casing": self.casing, "lang": self.lang}

    @classmethod
    def from_config(cls, section: Mapping[str, Any], words: Sequence[str]) -> "WordIndexer":
        """Build from an `[indexer]` section and the lines of `vocab.txt`.

        RAISES: G003 if the section is of another kind or holds a name that is not known.
        """
        settings = dict(section)
        kind = settings.pop("kind", cls.kind)
        unknown = sorted(set(settings) - {"digits", "casing", "lang"})
        if kind != cls.kind or unknown:
            found = f"the unknown name {unknown[0]!r}" if unknown else f"kind {kind!r}"
            raise ValueError(Errors.G003.format(found=found, kind=cls.kind))
        return cls(words, **settings)

    def ids(self, tokens: Iterable[str]) -> npt.NDArray[np.int64]:
        """The id of each token, unknown ones included. Shape: (tokens,)."""
        seen, look_up = self._seen, self._look_up
        found = [seen[token] if token in seen else look_up(token) for token in tokens]
        return np.asarray(found, dtype=np.int64)

    def _look_up(self, token: str) -> int:
        forms = casing_forms(token, digits=self.digits, casing=self.casing)
        index = next((self._ids[form] for form in forms if form in self._ids), self.unknown_id)
        if len(self._seen) < _CACHE_SIZE:
            self._seen[token] = index
        return index

    def __len__(self) -> int:
        return len(self.words)


def casing_forms(token: str, *, digits: bool, casing: str) -> Tuple[str, ...]:
    """The forms under which a token is looked up, first match wins; the first one is also the form that is counted."""
    if digits and _HAS_DIGIT(token):
        return (DIGIT_WORD,)
    if casing == "lower":
        return (token.lower(),)
    if casing == "exact":
        return (token,)
    return (token, token.lower(), token.capitalize(), token.upper())


def count_words(
    tokens: Iterable[str] | Mapping[str, int], *, digits: bool = True, casing: str = "lower"
) -> "Counter[str]":
    """Count tokens in the form in which the vocabulary holds them.

    tokens (Iterable[str] | Mapping[str, int]): Tokens, or counts of tokens as they stand in the text.
    RETURNS (Counter[str]): Counts of "N", lower-case words and so on, as the rules say.
    """
    raw = tokens if isinstance(tokens, Mapping) else Counter(tokens)
    counts: Counter[str] = Counter()
    for token, count in raw.items():
        counts[casing_forms(token, digits=digits, casing=casing)[0]] += count
    return counts


def build_vocabulary(
    counts: Mapping[str, int], *, max_words: Optional[int] = None, min_count: int = 1
) -> Tuple[List[str], List[int]]:
    """Choose the most frequent words.

    counts (Mapping[str, int]): As `count_words` gives them.
    max_words (Optional[int]): Words kept at most, the unknown word not counted. Published: 100,000. None: all.
    min_count (int): Rarer words are left out.
    RETURNS (Tuple[List[str], List[int]]): Words, most frequent first and equal counts in the order of code points, with
        `<unk>` appended; and the count of each, where `<unk>` has all that were left out.
    """
    ranked = sorted(
        ((word, count) for word, count in counts.items() if count >= min_count and word != UNKNOWN_WORD),
        key=lambda item: (-item[1], item[0]),
    )
    kept = list(islice(ranked, max_words))
    left_out = sum(counts.values()) - sum(count for _, count in kept)
    return [word for word, _ in kept] + [UNKNOWN_WORD], [count for _, count in kept] + [left_out]


def _what_is_wrong(words: Sequence[str]) -> str:
    if not words:
        return "no words"
    if words[-1] != UNKNOWN_WORD:
        return f"the last word {words[-1]!r}"
    doubled = next(word for word, count in Counter(words).items() if count > 1)
    return f"{doubled!r} more than once"
