"""Static word vectors from where people keep them: a text file of GloVe, word2vec or fastText, or spaCy's vectors.

Only the words that are wanted are kept, so that a file of two million words costs little memory.
Source: the look-up of the GLoMo reader: a word as it stands, else lower-case, capitalised or upper-case; blanks within
a word of the file are dropped.
"""

import lzma
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Set, Tuple

import numpy as np
import numpy.typing as npt
from spacy.strings import StringStore
from spacy.vectors import Mode, Vectors

from ..errors import Errors
from ..files import PathLike
from ..indexers.word_ids import UNKNOWN_WORD, casing_forms
from .text_files import open_packed

_HEADER = re.compile(rb"\d+ \d+")  # of word2vec and fastText: the number of words and the width
_DECIMAL = re.compile(rb"-?\d*\.\d{2,}(e-?\d+)?")  # a number where the end of a word should stand

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class VectorTable:
    """Words and their vectors.

    words (List[str]): In the order of the file, which is by falling frequency as a rule.
    vectors (ndarray): One row per word. Shape: (words, width), float32.
    """

    words: List[str]
    vectors: Vector


def read_vectors(path: PathLike, *, types: Sequence[str], limit: Optional[int] = None) -> VectorTable:
    """Read the vectors that a corpus needs.

    path (PathLike): A directory made by `spacy init vectors`, or a pipeline's; or text, possibly packed (.gz .xz .bz2):
        a word and its numbers per line, with or without a first line of counts.
    types (Sequence[str]): The distinct tokens of the corpus. Kept are the words they are looked up as: as they stand,
        else lower-case, capitalised or upper-case.
    limit (Optional[int]): Keep the first so many words in place of those of the corpus, for texts that are not known
        yet. Floret vectors, which know every word and have no order, give those of the corpus anyway.
    RETURNS (VectorTable): At least one word, each once: of one listed twice the first vector counts. `<unk>` is left
        out, as it stands for words without a vector.
    RAISES: FileNotFoundError G004 if there is no such file; ValueError G073 naming the line that does not fit; G074 if
        these are no vectors; G075 if no word of the corpus has one.
    """
    path = Path(path)
    wanted = None if limit is not None else {form for token in types for form in _forms(token)}
    entries = _spacy_entries(path, types=types) if path.is_dir() else _text_entries(path, wanted=wanted)
    table: Dict[str, Vector] = {}
    for word, vector in entries:
        if (wanted is None or word in wanted) and word not in table and word != UNKNOWN_WORD:
            table[word] = vector
            if len(table) == limit:
                break
    found = {next((form for form in _forms(token) if form in table), None) for token in types}
    if not found - {None}:
        raise ValueError(Errors.G075.format(path=path))
    words = [word for word in table if limit is not None or word in found]
    return VectorTable(words, np.stack([table[word] for word in words]))


def _forms(token: str) -> Tuple[str, ...]:
    return casing_forms(token, digits=False, casing="fallback")


def _text_entries(path: Path, *, wanted: Optional[Set[str]]) -> Iterator[Tuple[str, Vector]]:
    """Words and vectors of a text file. Numbers are read only of words that are wanted: that takes nearly all time."""
    if not path.is_file():
        raise FileNotFoundError(Errors.G004.format(pattern=str(path)))
    width = 0
    for place, line in enumerate(_lines(path), start=1):
        if place == 1 and _HEADER.fullmatch(line):
            width = int(line.split()[1])
            continue
        n_numbers = line.count(b" ")
        width = width or n_numbers
        if not 0 < width <= n_numbers:
            raise ValueError(_damage(path, place, width=width, found=f"{n_numbers} numbers"))
        text, first = _word_of(line, width=width)
        if _DECIMAL.fullmatch(first):
            raise ValueError(_damage(path, place, width=width, found=f"{n_numbers} numbers"))
        word = text.decode("utf8", errors="replace")
        if word and (wanted is None or word in wanted):
            try:
                vector = np.array([float(number) for number in line.split(b" ")[-width:]], dtype=np.float32)
            except ValueError as error:
                raise ValueError(_damage(path, place, width=width, found=str(error))) from error
            if not np.isfinite(vector).all():
                raise ValueError(_damage(path, place, width=width, found="one that is not finite"))
            yield word, vector
    if not width:
        raise ValueError(Errors.G074.format(path=path, reason="it is empty"))


def _word_of(line: bytes, *, width: int) -> Tuple[bytes, bytes]:
    """The word of a line without its blanks, and its last part if it has several."""
    if line.count(b" ") == width:
        return line.partition(b" ")[0], b""
    text = line.rsplit(b" ", width)[0]
    return text.replace(b" ", b""), text.rpartition(b" ")[2]


def _lines(path: Path) -> Iterator[bytes]:
    """Lines without the blanks at their ends, which fastText writes."""
    try:
        with open_packed(path) as stream:
            yield from (line.rstrip() for line in stream)
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise ValueError(Errors.G074.format(path=path, reason=f"broken packing ({error})")) from error


def _damage(path: Path, line: int, *, width: int, found: str) -> str:
    return Errors.G073.format(path=path, line=line, expected=width or "some", found=found)


def _spacy_entries(path: Path, *, types: Sequence[str]) -> Iterator[Tuple[str, Vector]]:
    """Words and vectors of a pipeline directory, or of the `vocab` directory in it."""
    vocab = path / "vocab" if (path / "vocab").is_dir() else path
    if not (vocab / "vectors").is_file():
        raise ValueError(Errors.G074.format(path=path, reason="it has no file vocab/vectors"))
    strings = StringStore().from_disk(vocab / "strings.json")
    vectors = Vectors(strings=strings).from_disk(vocab)
    if vectors.mode != Mode.default:  # floret: any word has a vector, made of its parts
        yield from ((word, vectors[word]) for word in types)
        return
    for key, row in vectors.key2row.items():
        if row >= 0 and key in strings:
            yield strings[key], vectors.data[row]
