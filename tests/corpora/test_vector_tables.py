"""Static vectors from text files of every kind and from spaCy, and damage named with its line."""

import gzip
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
import pytest
import spacy
from spacy.vectors import Vectors

from glomo_spacy.corpora.vector_tables import VectorTable, read_vectors

TYPES = ["The", "mast", "NASA", "...", "x y"]


def read(path: Path, content: bytes, *, types: Optional[List[str]] = None, limit: Optional[int] = None) -> VectorTable:
    path.write_bytes(content)
    return read_vectors(path, types=TYPES if types is None else types, limit=limit)


def test_the_three_kinds_of_text_files_are_read(tmp_path: Path) -> None:
    lines = b"the 1 2\nmast 3 4e-1\n"
    glove = read(tmp_path / "glove.txt", lines)
    assert glove.words == ["the", "mast"]
    np.testing.assert_array_equal(glove.vectors, np.array([[1, 2], [3, 0.4]], dtype=np.float32))
    for name, content in (
        ("word2vec.txt", b"2 2\n" + lines),
        ("fasttext.vec", b"2 2\n" + lines.replace(b"\n", b" \n")),
        ("packed.txt.gz", gzip.compress(lines)),
        ("windows.txt", lines.replace(b"\n", b"\r\n")),
    ):
        other = read(tmp_path / name, content)
        assert other.words == glove.words
        np.testing.assert_array_equal(other.vectors, glove.vectors)


def test_blanks_within_a_word_are_dropped(tmp_path: Path) -> None:
    assert read(tmp_path / "v.txt", b"the 1 2\n. . . 3 4\nx y 5 6\n").words == ["the", "..."]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"NASA 1 2\nnasa 3 4\n", ["NASA"]),
        (b"Nasa 1 2\nnasa 3 4\n", ["nasa"]),
        (b"Nasa 1 2\n", ["Nasa"]),
        (b"MAST 1 2\nMast 3 4\n", ["Mast"]),
        (b"MAST 1 2\n", ["MAST"]),
    ],
)
def test_a_word_is_kept_in_the_first_casing_that_is_looked_up(content: bytes, words: List[str], tmp_path: Path) -> None:
    assert read(tmp_path / "v.txt", content).words == words


def test_the_first_vector_of_a_word_counts_and_that_of_unknown_words_does_not(tmp_path: Path) -> None:
    table = read(tmp_path / "v.txt", b"<unk> 7 7\nmast 1 2\nmast 3 4\n", types=["mast", "<unk>"])
    assert table.words == ["mast"]
    assert table.vectors.tolist() == [[1, 2]]


def test_a_limit_keeps_the_first_words(tmp_path: Path) -> None:
    table = read(tmp_path / "v.txt", b"zebra 1 2\nthe 3 4\nmast 5 x\n", limit=2)  # the rest is not read
    assert table.words == ["zebra", "the"]


@pytest.mark.parametrize(
    "content, text",
    [
        (b"the 1 2\nmast 3\n", r"line 2: expected a word and 2 numbers, but found 1 numbers"),
        (b"the 1 2\nmast 3.25 4 5\n", r"line 2: expected a word and 2 numbers, but found 3 numbers"),
        (b"1 3\nthe 1 2\n", r"line 2: expected a word and 3 numbers, but found 2 numbers"),
        (b"the 1 2\nmast 3 four\n", r"line 2: expected a word and 2 numbers, but found could not convert .*four"),
        (b"the 1 nan\n", r"line 1: expected a word and 2 numbers, but found one that is not finite"),
        (b"the\n", r"line 1: expected a word and some numbers, but found 0 numbers"),
        (b"2 2\nthe \x00\x80\xbf\x01", r"line 2: expected a word and 2 numbers, but found 1 numbers"),
    ],
)
def test_a_damaged_line_is_named(content: bytes, text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"\[G073\] .*v\.txt, {text}"):
        read(tmp_path / "v.txt", content)


@pytest.mark.parametrize("content", [b"", b"4 2\n"])
def test_an_empty_file_has_no_vectors(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G07[45]\]"):
        read(tmp_path / "v.txt", content)


def test_vectors_of_another_language_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G075\] .*v\.txt has no vector for any word of the questions"):
        read(tmp_path / "v.txt", b"maja 1 2\n")


def test_a_cut_packed_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G074\] .* holds no word vectors: broken packing"):
        read(tmp_path / "v.txt.gz", gzip.compress(b"the 1 2\n" * 99)[:-9])


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G004\] No file matches 'none\.txt'"):
        read_vectors("none.txt", types=TYPES)


def save_pipeline(path: Path, vectors: Any) -> Path:
    nlp = spacy.blank("en")
    for word in ("the", "mast", "NASA"):
        nlp.vocab.strings.add(word)
    nlp.vocab.vectors = vectors
    nlp.to_disk(path)
    return path


def test_vectors_of_spacy_are_read_from_a_pipeline(tmp_path: Path) -> None:
    data = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    path = save_pipeline(tmp_path / "nlp", Vectors(data=data, keys=["zebra", "mast", "the"]))
    table = read_vectors(path, types=["the", "Mast"])
    assert table.words == ["mast", "the"]
    assert table.vectors.tolist() == [[3, 4], [5, 6]]


def test_floret_vectors_know_every_word(tmp_path: Path) -> None:
    data = np.arange(20, dtype=np.float32).reshape(10, 2)
    vectors = Vectors(data=data, mode="floret", minn=2, maxn=3, hash_count=1)
    path = save_pipeline(tmp_path / "nlp", vectors)
    table = read_vectors(path, types=TYPES[:3])
    assert table.words == TYPES[:3]
    np.testing.assert_allclose(table.vectors[1], vectors["mast"])


def test_a_directory_without_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[G074\] .* holds no word vectors: it has no file vocab/vectors"):
        read_vectors(tmp_path, types=TYPES)
