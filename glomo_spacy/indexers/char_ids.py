"""Words to character ids: UTF-8 bytes, or the letters of a learned alphabet, between marks.

Source: allenai/bilm-tf `bilm/data.py` (its ids for prediction, where 0 means "no token here").
"""

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from .vocabulary import BEGIN_SENTENCE, END_SENTENCE

N_BYTES = 256
# What follows the characters in the table, in this order.
_MARKS = ("begin_sentence", "end_sentence", "begin_word", "end_word", "padding")

CharIds = npt.NDArray[np.uint16]


class CharIndexer:
    """Spell words as rows of character ids: begin of word, characters, end of word, padding.

    The words `<S>` and `</S>` are read as the marks of a sentence's begin and end, as both published codes do.

    alphabet (Optional[Sequence[str]]): The letters that have an id of their own; all others share one. None: the bytes
        of the word's UTF-8 form, where a letter of most Asian scripts takes three of the 48 places.
    max_characters (int): Length of a row, the two marks included; longer words are cut. Published: 50.
    lang (str): Language of the tokeniser whose tokens the model has learned, as in `spacy.blank(lang)`.
    RAISES: ValueError G014 for an alphabet that is no list of different characters, G101 for `max_characters` below 3.
    """

    kind = "characters"

    def __init__(self, *, alphabet: Optional[Sequence[str]] = None, max_characters: int = 50, lang: str = "en") -> None:
        if max_characters < 3:
            expected = "at least 3: two marks and one character"
            raise ValueError(Errors.G101.format(name="max_characters", expected=expected, value=max_characters))
        self.alphabet: Optional[Tuple[str, ...]] = None if alphabet is None else tuple(alphabet)
        self.max_characters = max_characters
        self.lang = lang
        n_characters = N_BYTES if self.alphabet is None else len(self.alphabet) + 1  # one for all other letters
        self.n_characters = 1 + n_characters + len(_MARKS)
        self.begin_sentence, self.end_sentence, self.begin_word, self.end_word, self.padding = range(
            n_characters + 1, self.n_characters
        )
        self._ids: Dict[str, int] = {letter: index + 1 for index, letter in enumerate(self.alphabet or ())}
        self._check_alphabet()

    def _check_alphabet(self) -> None:
        letters = self.alphabet
        if letters is None:
            return
        wrong = next((letter for letter in letters if not isinstance(letter, str) or len(letter) != 1), None)
        if not letters or wrong is not None or len(self._ids) != len(letters) or self.n_characters > 1 << 16:
            found = "no characters" if not letters else f"{len(letters)} entries with {len(self._ids)} different ones"
            raise ValueError(Errors.G014.format(found=found if wrong is None else repr(wrong)))

    @property
    def config(self) -> Dict[str, Any]:
        """The `[indexer]` section of a checkpoint; `from_config` reads it back."""
        alphabet = None if self.alphabet is None else list(self.alphabet)
        return {"kind": self.kind, "alphabet": alphabet, "max_characters": self.max_characters, "lang": self.lang}

    @classmethod
    def from_config(cls, section: Mapping[str, Any], words: Sequence[str] = ()) -> "CharIndexer":
        """Build from an `[indexer]` section; the lines of `vocab.txt` are the softmax's and not needed here.

        RAISES: ValueError G015 if the section is of another kind or holds a name that is not known.
        """
        settings = dict(section)
        kind = settings.pop("kind", cls.kind)
        unknown = sorted(set(settings) - {"alphabet", "max_characters", "lang"})
        if kind != cls.kind or unknown:
            found = f"the unknown name {unknown[0]!r}" if unknown else f"kind {kind!r}"
            raise ValueError(Errors.G015.format(found=found, kind=cls.kind, names="alphabet, max_characters and lang"))
        return cls(**settings)

    def ids(self, words: Iterable[str]) -> CharIds:
        """Spell words.

        words (Iterable[str]): Any strings; the empty one is a word without characters.
        RETURNS (CharIds): Shape: (words, max_characters).
        """
        spelled = [self._spell(word) for word in words]
        lengths = np.fromiter((len(word) for word in spelled), dtype=np.int64, count=len(spelled))  # (words,)
        rows = np.full((len(spelled), self.max_characters), self.padding, dtype=np.uint16)
        rows[:, 0] = self.begin_word
        places = np.arange(1, self.max_characters - 1)[None] <= lengths[:, None]  # (words, max_characters - 2)
        rows[:, 1:-1][places] = np.fromiter((char for word in spelled for char in word), dtype=np.uint16)
        rows[np.arange(len(spelled)), lengths + 1] = self.end_word
        return rows

    def _spell(self, word: str) -> List[int]:
        """Ids of a word's characters, cut, without the marks of the word."""
        if word == BEGIN_SENTENCE:
            return [self.begin_sentence]
        if word == END_SENTENCE:
            return [self.end_sentence]
        room = self.max_characters - 2
        if self.alphabet is None:
            # Half a surrogate pair has no UTF-8 form and is left out, as the published code does.
            return [byte + 1 for byte in word.encode("utf8", "ignore")[:room]]
        unknown = len(self.alphabet) + 1
        return [self._ids.get(letter, unknown) for letter in word[:room]]
