"""What the rows of a weight stand for, words or characters: by it, not by their place, rows of two models match."""

import re
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

_TAIL = re.compile(r"softmax\.clusters\.tail\.(\d+)\.1\.weight")
_HEAD = "softmax.clusters.head."
_OUTPUT = "output."  # where a language model keeps what other models have at their top
# Named, since any other weight may happen to have as many rows as there are words.
_WORD_TABLES = {
    "embedding.weight",
    "words.weight",
    "token_encoder.weight",
    "softmax.weight",
    "softmax.bias",
    "output.weight",
    "output.bias",
}
_CHARACTERS = "token_encoder.embedding"
_ALPHABET = "characters.table.weight"
_N_BYTES = 256


class RowMatch(NamedTuple):
    """Rows of two tables that stand for the same.

    there, here (Tensor): Row numbers in the old and in the new table. Shape: (shared,).
    n_there, n_here (int): Rows of each table.
    """

    there: Tensor
    here: Tensor
    n_there: int
    n_here: int

    @property
    def is_new(self) -> Tensor:
        """Rows of the new table that the old one has nothing for, bool. Shape: (rows here,)."""
        flags = torch.ones(self.n_here, dtype=torch.bool)
        flags[self.here] = False
        return flags


def match_rows(there: Optional[Sequence[str]], here: Optional[Sequence[str]]) -> Optional[RowMatch]:
    """Match rows by their labels, as `row_labels` gives them.

    RETURNS (Optional[RowMatch]): None if there are no labels, or the same in the same order: nothing is to be matched.
    """
    if there is None or here is None or there == here:
        return None
    places = {label: row for row, label in enumerate(here)}
    pairs = [(row, places[label]) for row, label in enumerate(there) if label in places]
    rows = torch.tensor(pairs, dtype=torch.long).view(-1, 2)
    return RowMatch(rows[:, 0], rows[:, 1], len(there), len(here))


def row_labels(
    name: str,
    weight: Tensor,
    *,
    vocab: Optional[Sequence[str]],
    indexer: Mapping[str, Any],
    cutoffs: Sequence[int] = (),
    alphabet: str = "",
) -> Optional[List[str]]:
    """A label for each row of a weight.

    name (str): Of the weight in its model.
    weight (Tensor): The weight.
    vocab (Optional[Sequence[str]]): Words by id.
    indexer (Mapping[str, Any]): The `[indexer]` section: whose characters the rows of a character table are.
    cutoffs (Sequence[int]): Of an adaptive soft-max: first word of each cluster.
    alphabet (str): Of a reader: the characters that have a row, after nothing and unknown ones.
    RETURNS (Optional[List[str]]): Shape: (rows,). None if rows stand for nothing that a vocabulary or alphabet names.
    """
    n_rows = len(weight) if weight.dim() else 0
    inner = name.removeprefix(_OUTPUT)
    labels: Optional[List[str]] = None
    if name == _CHARACTERS:
        labels = _characters(indexer.get("alphabet"), n_rows)
    elif name == _ALPHABET:
        labels = ["nothing", "unknown", *alphabet]
    elif vocab is not None and inner.startswith(_HEAD):
        labels = [*vocab[: cutoffs[0]], *(f"\n{index}" for index in range(len(cutoffs)))]  # no word has a line end
    elif vocab is not None and (tail := _TAIL.fullmatch(inner)):
        bounds = [*cutoffs, len(vocab)]
        index = int(tail[1])
        labels = list(vocab[bounds[index] : bounds[index + 1]])
    elif vocab is not None and name in _WORD_TABLES:
        labels = list(vocab)
    return labels if labels is not None and len(labels) == n_rows else None


def _characters(alphabet: Optional[Sequence[str]], n_rows: int) -> List[str]:
    """Rows of a character table: letters, or bytes of which the first 128 are letters too; then marks."""
    if alphabet is None:
        letters = [chr(byte) if byte < _N_BYTES // 2 else f"byte {byte}" for byte in range(_N_BYTES)]
    else:
        letters = [*alphabet, "other letters"]
    return [*letters, *(f"mark {index}" for index in range(n_rows - len(letters)))]
