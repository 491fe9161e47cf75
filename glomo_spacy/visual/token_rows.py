"""Tokens in context as rows of a matrix: label and vector of a token come from one iteration and cannot part."""

from dataclasses import dataclass
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy
import numpy.typing as npt

from ..errors import Errors

Floats = npt.NDArray[numpy.float32]


class TokenRow(NamedTuple):
    """What a row of the matrix stands for.

    word (str): The token.
    sentence (int): Number of its sentence, from 0.
    position (int): Its place in the sentence, from 0.
    """

    word: str
    sentence: int
    position: int


@dataclass(frozen=True)
class TokenRows:
    """Tokens of several sentences and their vectors, in reading order.

    sentences (List[List[str]]): The tokens of each sentence.
    rows (List[TokenRow]): One for each token.
    vectors (Floats): Their vectors, row by row. Shape: (layers, rows, width).
    """

    sentences: List[List[str]]
    rows: List[TokenRow]
    vectors: Floats

    def of_word(self, word: str) -> List[int]:
        """The rows of a word, in any casing."""
        wanted = word.casefold()
        return [index for index, row in enumerate(self.rows) if row.word.casefold() == wanted]

    def context(self, index: int, *, n_words: int = 5) -> Tuple[str, str, str]:
        """A token with its neighbours: the words before it, itself, the words after it.

        index (int): Its row.
        n_words (int): Words on each side, at most.
        """
        row = self.rows[index]
        words = self.sentences[row.sentence]
        before = words[max(0, row.position - n_words) : row.position]
        after = words[row.position + 1 : row.position + 1 + n_words]
        return " ".join(before), row.word, " ".join(after)


def collect_rows(sentences: Sequence[Sequence[str]], arrays: Sequence[Any]) -> TokenRows:
    """Make rows of sentences and their arrays.

    sentences (Sequence[Sequence[str]]): The tokens of each.
    arrays (Sequence[Any]): The vectors of each. Shape: (layers, tokens, width) or (tokens, width).
    RETURNS (TokenRows): One row for each token of each sentence.
    RAISES: G055 (ValueError) if there is not one array per sentence and one vector per token; G054 (ValueError) without
        any token.
    """
    if len(arrays) != len(sentences):
        raise ValueError(
            Errors.G055.format(name="arrays", expected=f"one per sentence ({len(sentences)})", found=len(arrays))
        )
    rows: List[TokenRow] = []
    columns: List[Floats] = []
    for number, (words, array) in enumerate(zip(sentences, arrays)):
        layers = numpy.asarray(array, dtype=numpy.float32)
        layers = layers[None] if layers.ndim == 2 else layers  # (layers, tokens, width)
        if layers.ndim != 3 or layers.shape[1] != len(words):
            name, expected = f"vectors of sentence {number}", f"one per token ({len(words)})"
            raise ValueError(Errors.G055.format(name=name, expected=expected, found=f"arrays of shape {layers.shape}"))
        for position, word in enumerate(words):
            rows.append(TokenRow(word, number, position))
            columns.append(layers[:, position])  # (layers, width)
    if not rows:
        raise ValueError(Errors.G054)
    return TokenRows([list(words) for words in sentences], rows, numpy.stack(columns, axis=1))


def unit_rows(vectors: Floats) -> Floats:
    """Rows of length 1, so that their products are cosines; a row of zeros stays zero.

    vectors (Floats): Shape: (rows, width).
    """
    lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Floats = vectors / numpy.where(lengths > 0, lengths, numpy.float32(1))
    return unit


def nearest_rows(vectors: Floats, *, n_nearest: int) -> Tuple[npt.NDArray[Any], Floats]:
    """For each row the others with the highest cosine.

    vectors (Floats): Shape: (rows, width).
    n_nearest (int): How many, fewer if there are not as many rows.
    RETURNS (Tuple): Their rows, best first, and their cosines. Shapes: (rows, nearest). Of equal ones the first counts
        as nearer.
    """
    unit = unit_rows(vectors)
    cosines = unit @ unit.T
    numpy.fill_diagonal(cosines, -numpy.inf)
    order = numpy.argsort(-cosines, axis=1, kind="stable")[:, : min(n_nearest, len(vectors) - 1)]
    return order, numpy.take_along_axis(cosines, order, axis=1)


def agreement(vectors: Floats, groups: Sequence[Any]) -> Tuple[int, int]:
    """How often a row's nearest other row is of its group: one group per sense tells how well senses are kept apart.

    vectors (Floats): Shape: (rows, width).
    groups (Sequence[Any]): The group of each row.
    RETURNS (Tuple[int, int]): Rows whose nearest agrees, and rows. Where several are equally near, such as the same
        word without its context, none counts as the nearest and the row does not agree.
    """
    if len(groups) < 2:
        return 0, len(groups)
    order, cosines = nearest_rows(vectors, n_nearest=len(groups) - 1)
    names = numpy.asarray(groups, dtype=object)
    is_near = cosines >= cosines[:, :1] - 1e-6  # (rows, others): as near as the nearest
    agrees = (names[order] == names[:, None]) | ~is_near
    return int(agrees.all(axis=1).sum()), len(groups)
