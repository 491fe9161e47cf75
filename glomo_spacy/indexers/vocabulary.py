"""A vocabulary that begins with the marks of a sentence and the unknown word, as bilm-tf writes it.

Source: allenai/bilm-tf README and `bilm/data.py`: one token per line, case-sensitive, most frequent first, because
negative samples follow the rank.
"""

from typing import Any, Dict, Iterable, Mapping, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors

BEGIN_SENTENCE, END_SENTENCE, UNKNOWN = "<S>", "</S>", "<UNK>"
SPECIALS = (BEGIN_SENTENCE, END_SENTENCE, UNKNOWN)
NO_WORD = "!!!MAXTERMID"  # a line that some published files carry


class VocabularyIndexer:
    """Look up words as they stand: the softmax's targets, or the input of a model without characters.

    words (Sequence[str]): `<S>`, `</S>`, `<UNK>`, then words by falling count; the place of a word is its id. A line
        `!!!MAXTERMID` is skipped.
    lang (str): Language of the tokeniser whose tokens the vocabulary counts, as in `spacy.blank(lang)`.
    RAISES: ValueError G016 if the three specials do not come first or a word is doubled.
    """

    kind = "vocabulary"

    begin_sentence, end_sentence, unknown_id = range(len(SPECIALS))

    def __init__(self, words: Sequence[str], *, lang: str = "en") -> None:
        self.words: Tuple[str, ...] = tuple(word for word in words if word != NO_WORD)
        self.lang = lang
        self._ids: Dict[str, int] = {word: index for index, word in enumerate(self.words)}
        if self.words[: len(SPECIALS)] != SPECIALS or len(self._ids) != len(self.words):
            raise ValueError(Errors.G016.format(found=_what_is_wrong(self.words)))

    @property
    def config(self) -> Dict[str, Any]:
        """The `[indexer]` section of a checkpoint; `from_config` reads it back."""
        return {"kind": self.kind, "lang": self.lang}

    @classmethod
    def from_config(cls, section: Mapping[str, Any], words: Sequence[str]) -> "VocabularyIndexer":
        """Build from an `[indexer]` section and the lines of `vocab.txt`.

        RAISES: ValueError G015 if the section is of another kind or holds a name that is not known.
        """
        settings = dict(section)
        kind = settings.pop("kind", cls.kind)
        unknown = sorted(set(settings) - {"lang"})
        if kind != cls.kind or unknown:
            found = f"the unknown name {unknown[0]!r}" if unknown else f"kind {kind!r}"
            raise ValueError(Errors.G015.format(found=found, kind=cls.kind, names="lang"))
        return cls(words, **settings)

    def ids(self, words: Iterable[str]) -> npt.NDArray[np.int64]:
        """The id of each word, that of `<UNK>` for unknown ones. Shape: (words,)."""
        look_up, unknown = self._ids.get, self.unknown_id
        return np.asarray([look_up(word, unknown) for word in words], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.words)


def _what_is_wrong(words: Sequence[str]) -> str:
    if not words:
        return "no words"
    for place, special in enumerate(SPECIALS):
        if special not in words:
            return f"no {special}"
        if words[place] != special:
            return f"{words[place]!r} in line {place + 1}"
    seen = set()
    for line, word in enumerate(words, start=1):
        if word in seen:
            return f"{word!r} more than once, again in line {line}"
        seen.add(word)
    return "another order"
