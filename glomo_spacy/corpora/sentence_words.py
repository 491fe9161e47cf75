"""The words of a corpus of sentences: every distinct token, those that a softmax can name, and the alphabet."""

from collections import Counter
from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors
from ..indexers.vocabulary import NO_WORD, SPECIALS, VocabularyIndexer

_UNKNOWN = SPECIALS[-1]
_MOST_DISORDER = 0.6  # 0 = sorted, 1 = random; vocabularies of other texts had up to 0.3, alphabetical ones 0.87 on


@dataclass(frozen=True)
class Words:
    """The distinct tokens of a text in their final order.

    types (List[str]): The three special words, the vocabulary, then all others. The place of each is its id.
    counts (List[int]): Of the vocabulary in the training split; `<S>` and `</S>` have the number of sentences, `<UNK>`
        that of all tokens that are left out.
    final_ids (ndarray): The id of each token by its number in the provisional text. Shape: (tokens,), uint32.
    """

    types: List[str]
    counts: List[int]
    final_ids: npt.NDArray[np.uint32]

    @property
    def n_words(self) -> int:
        """Size of the vocabulary."""
        return len(self.counts)

    @property
    def is_unknown(self) -> npt.NDArray[np.bool_]:
        """For each id whether the softmax cannot name it. Shape: (types,)."""
        ids = np.arange(len(self.types))
        return (ids >= self.n_words) | (ids == SPECIALS.index(_UNKNOWN))


def order_words(
    texts: Sequence[str],
    counts: npt.NDArray[np.int64],
    *,
    n_sentences: int,
    max_words: Optional[int] = None,
    min_count: int = 1,
    given: Optional[VocabularyIndexer] = None,
    unknown: Optional[str] = None,
) -> Words:
    """Give every distinct token its final id.

    texts (Sequence[str]): Distinct tokens by provisional number. Those that spell a special word become it.
    counts (ndarray): Of each in the training split, possibly 0. Shape: (tokens,).
    n_sentences (int): Of the training split.
    max_words (Optional[int]): Words of the vocabulary at most, special ones not counted. None: all.
    min_count (int): Rarer words are not in the vocabulary. At least 1.
    given (Optional[VocabularyIndexer]): A vocabulary to keep in its order, in place of a new one.
    unknown (Optional[str]): A token that becomes `<UNK>`, such as `<unk>` in published texts. None: there is none.
    RETURNS (Words): Equal counts stand in the order of code points.
    """
    texts = [_UNKNOWN if text == unknown else text for text in texts]
    count_of: Counter[str] = Counter()
    for text, count in zip(texts, counts.tolist(), strict=True):
        count_of[text] += count
    ranked = sorted(set(texts).difference(SPECIALS), key=lambda text: (-count_of[text], text))
    if given is not None:
        words = list(given.words)
    else:
        kept = (text for text in ranked if count_of[text] >= min_count and text != NO_WORD)
        words = [*SPECIALS, *(word for word, _ in zip(kept, range(len(texts) if max_words is None else max_words)))]
    known = set(words)
    types = words + [text for text in ranked if text not in known]
    place = {text: index for index, text in enumerate(types)}
    inside = [count_of[word] for word in words[len(SPECIALS) :]]
    left_out = int(counts.sum()) - sum(inside) - sum(count_of[special] for special in SPECIALS[:-1])
    return Words(
        types=types,
        counts=[n_sentences, n_sentences, left_out, *inside],
        final_ids=np.fromiter((place[text] for text in texts), np.uint32, len(texts)),
    )


def check_order(words: Sequence[str], count_of: Mapping[str, int], *, path: object) -> None:
    """Refuse a given vocabulary whose order has nothing to do with the counts, such as an alphabetical one.

    The mean logarithm of a running word's place, which the log-uniform law of sampled softmax relies on, is compared
    with those of the best and of a random order.

    words (Sequence[str]): The vocabulary, special words included.
    count_of (Mapping[str, int]): Counts in some text; a thousand running words are enough.
    path (object): Names the vocabulary in the message.
    RAISES: G021 (ValueError) naming the neighbours whose counts differ most.
    """
    ranked = words[len(SPECIALS) :]
    counts = np.array([count_of.get(word, 0) for word in ranked], dtype=np.float64)
    if not counts.any():
        return
    weights = np.log(np.arange(1, len(counts) + 1))
    best, random = float(np.sort(counts)[::-1] @ weights), float(counts.sum() * weights.mean())
    if float(counts @ weights) - best > _MOST_DISORDER * (random - best):
        worst = int(np.argmax(np.diff(counts)))
        first, second = (f"{ranked[place]!r} ({counts[place]:.0f} times)" for place in (worst, worst + 1))
        raise ValueError(Errors.G021.format(path=path, example=f"{first} stands before {second}"))


def learn_alphabet(count_of: Mapping[str, int], *, size: int) -> List[str]:
    """The most frequent characters (code points) of a text given as counts of its words, at most `size`."""
    counts: Counter[str] = Counter()
    for text, count in count_of.items():
        for character in text if count else ():
            counts[character] += count
    ranked: List[Tuple[str, int]] = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [character for character, _ in ranked[:size]]
