"""A page that shows how surprising each word of a text is to a language model. Numbers and text in, HTML out."""

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..errors import Errors
from .templates import SURPRISAL_PAGE, fill_page, one_line

TITLE = "Surprise, word by word"
SUBTITLE = "What a language model did not expect: surprisal in bits, one more for each halving of the probability."


@dataclass(frozen=True)
class Reading:
    """A text as a language model read it.

    words (Sequence[str]): Its words in order. Any strings: they stay text.
    bits (Sequence[float]): Surprisal of each word, -log2 of its probability. >= 0.
    spaces (Sequence[bool]): Whether white space follows a word. Empty: it follows each.
    unknown (Sequence[bool]): Whether a word is not in the vocabulary. Empty: all are.
    ends (Mapping[int, float]): Surprisal of the end of a sentence by the number of the word before it.
    expected (Sequence[Sequence[Tuple[str, float]]]): For each word the likeliest words in its place with their
        probabilities. Empty: they are not shown.
    label (str): What it is called beside others of the same passage.
    RAISES: ValueError G940 for another number of values than of words, G941 for a surprisal that is none.
    """

    words: Sequence[str]
    bits: Sequence[float]
    spaces: Sequence[bool] = ()
    unknown: Sequence[bool] = ()
    ends: Mapping[int, float] = field(default_factory=dict)
    expected: Sequence[Sequence[Tuple[str, float]]] = ()
    label: str = ""

    def __post_init__(self) -> None:
        for name in ("bits", "spaces", "unknown", "expected"):
            found = len(getattr(self, name))
            if found != len(self.words) and (found or name == "bits"):
                raise ValueError(Errors.G940.format(name=name, expected=len(self.words), found=found))
        for value in (*self.bits, *self.ends.values()):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(Errors.G941.format(value=value))

    @property
    def total(self) -> float:
        """Bits of all words; ends of sentences are counted in none."""
        return sum(self.bits)

    def place_of(self, word: str) -> Optional[int]:
        """The number of the last occurrence of a word; None if there is none."""
        return next((place for place in reversed(range(len(self.words))) if self.words[place] == word), None)


@dataclass(frozen=True)
class Passage:
    """What the reader of a page chooses: one reading, or several of nearly the same words to compare.

    readings (Sequence[Reading]): At least one.
    name (str): What it is called.
    focus (str): The word that the readings are compared by. "": none.
    note (str): Stands below the words.
    RAISES: ValueError G942 for a focus that a reading lacks.
    """

    readings: Sequence[Reading]
    name: str = ""
    focus: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        for reading in self.readings:
            if self.focus and reading.place_of(self.focus) is None:
                raise ValueError(Errors.G942.format(focus=self.focus, text=" ".join(reading.words)))

    @property
    def focus_bits(self) -> List[float]:
        """Surprisal of the focus in each reading; empty without focus."""
        places = [reading.place_of(self.focus) for reading in self.readings]
        return [reading.bits[place] for reading, place in zip(self.readings, places) if place is not None]


def render_surprisal(
    passages: Sequence[Passage], *, title: str = TITLE, subtitle: str = SUBTITLE, lang: str = "en"
) -> str:
    """A page with one or several passages, of which the reader chooses one at a time.

    Bars and shades have one scale on the whole page, so that passages compare.

    passages (Sequence[Passage]): At least one, each with at least one reading.
    title (str), subtitle (str): Heading of the page.
    lang (str): Language code of the words.
    RETURNS (str): A complete HTML document that needs no network.
    RAISES: ValueError G943 without any reading.
    """
    if not passages or not all(passage.readings for passage in passages):
        raise ValueError(Errors.G943)
    data = {"title": title, "subtitle": subtitle, "passages": [_passage_data(passage) for passage in passages]}
    return fill_page(SURPRISAL_PAGE, title=title, lang=lang, data=data)


def _passage_data(passage: Passage) -> Dict[str, Any]:
    return {
        "name": passage.name or one_line(" ".join(passage.readings[0].words)),
        "focus": passage.focus,
        "note": passage.note,
        "readings": [_reading_data(passage, reading) for reading in passage.readings],
    }


def _reading_data(passage: Passage, reading: Reading) -> Dict[str, Any]:
    """A reading as plain lists. Bits keep four decimals, so that differences are right when rounded."""
    n_words = len(reading.words)
    return {
        "label": reading.label,
        "words": [one_line(word) for word in reading.words],
        "spaces": [int(is_space) for is_space in reading.spaces or [True] * n_words],
        "bits": [round(float(value), 4) for value in reading.bits],
        "unknown": [int(is_unknown) for is_unknown in reading.unknown or [False] * n_words],
        "ends": [[place, round(float(value), 4)] for place, value in sorted(reading.ends.items())],
        "expected": [[[one_line(word), float(f"{share:.3g}")] for word, share in words] for words in reading.expected],
        "focus": reading.place_of(passage.focus) if passage.focus else None,
        "total": round(reading.total, 4),
    }
