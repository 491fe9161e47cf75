"""Sentences as rows of numbers: distinct words, batches of like length, both reading orders."""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from ...errors import Errors
from ...indexers import BEGIN_SENTENCE, END_SENTENCE

Ids = npt.NDArray[np.int64]
BEGIN, END = 0, 1  # the boundaries' places among the distinct words


class Batch(NamedTuple):
    """Rows in both reading orders, as places among the distinct words.

    forward (Ids): First word first. Padding is at the right. Shape: (batch, seq).
    backward (Ids): Last word first. Shape: (batch, seq).
    mask (Optional[ndarray]): True for real tokens, boundaries included; None if all are. Shape: (batch, seq).
    """

    forward: Ids
    backward: Ids
    mask: Optional[npt.NDArray[np.bool_]]


def distinct_words(sentences: Sequence[Sequence[str]]) -> Tuple[List[str], List[Ids]]:
    """Number the words of some sentences.

    sentences (Sequence[Sequence[str]]): Tokens of each; a sentence may be empty.
    RETURNS (Tuple[List[str], List[Ids]]): `<S>`, `</S>` and every further word once; for each sentence the places of
        its words in that list. A word that reads like a boundary has the boundary's place.
    RAISES: ValueError G017 if anything else than lists of strings is given.
    """
    places: Dict[str, int] = {BEGIN_SENTENCE: BEGIN, END_SENTENCE: END}
    if isinstance(sentences, str):
        raise ValueError(Errors.G017.format(found=sentences[:40]))
    rows: List[Ids] = []
    for sentence in sentences:
        if isinstance(sentence, str):
            raise ValueError(Errors.G017.format(found=sentence[:40]))
        try:
            row = [places.setdefault(word, len(places)) for word in sentence]
        except TypeError:  # not even something that can be looked up
            raise ValueError(Errors.G017.format(found=sentence)) from None
        rows.append(np.asarray(row, dtype=np.int64))
    wrong = [word for word in places if not isinstance(word, str)]
    if wrong:
        raise ValueError(Errors.G017.format(found=wrong[0]))
    return list(places), rows


def plan_batches(lengths: Sequence[int], batch_tokens: int) -> List[List[int]]:
    """Put sentences of like length together.

    lengths (Sequence[int]): Words of each sentence.
    batch_tokens (int): Places of a batch at most, padding included; a longer sentence has a batch of its own.
    RETURNS (List[List[int]]): Numbers of sentences, longest first; empty sentences are in no batch.
    """
    batches: List[List[int]] = []
    for number in sorted((n for n, length in enumerate(lengths) if length), key=lambda n: -lengths[n]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches


def make_batch(rows: Sequence[Ids], *, begin: bool, end: bool) -> Batch:
    """Join sentences to a batch.

    rows (Sequence[Ids]): Places of the words of each sentence.
    begin (bool): Put a boundary before the first word that is read, in either order.
    end (bool): Put a boundary behind the last word that is read.
    """
    lengths = np.asarray([len(row) + begin + end for row in rows])
    forward = np.full((len(rows), lengths.max()), END, dtype=np.int64)
    backward = np.full_like(forward, BEGIN)  # (batch, seq)
    if begin:
        forward[:, 0], backward[:, 0] = BEGIN, END
    for number, row in enumerate(rows):
        forward[number, begin : begin + len(row)] = row
        backward[number, begin : begin + len(row)] = row[::-1]
    mask = np.arange(forward.shape[1])[None] < lengths[:, None]  # (batch, seq)
    return Batch(forward, backward, None if mask.all() else mask)
