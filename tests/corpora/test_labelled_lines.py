"""Sentences by class: every sentence held out once, every class in every fold, one clear error for each mistake."""

from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
from spacy import registry

from glomo_spacy.corpora.labelled_lines import create_labelled_lines_reader_v1 as create_reader

CLASSES = ("for", "against")


@pytest.fixture
def files(tmp_path: Path) -> Dict[str, str]:
    """Two classes of 25 sentences each, with empty lines between some."""
    for label in CLASSES:
        lines = [f"  {label} number {n} . \n" + ("\n" if n % 5 == 0 else "") for n in range(25)]
        (tmp_path / f"{label}.txt").write_text("".join(lines), encoding="utf8")
    return {label: str(tmp_path / f"{label}.txt") for label in CLASSES}


def read_texts(files: Dict[str, str], **settings: Any) -> List[str]:
    return [example.text for example in create_reader(files, **settings)(spacy.blank("en"))]


def test_reader_is_found_by_its_name(files: Dict[str, str]) -> None:
    reader = registry.readers.get("glomo_spacy.labelled_lines.v1")(files)
    assert len(list(reader(spacy.blank("en")))) == 50


def test_an_example_has_the_class_of_its_file(files: Dict[str, str]) -> None:
    first, *_, last = create_reader(files)(spacy.blank("en"))
    assert (first.text, first.reference.cats) == ("for number 0 .", {"for": 1.0, "against": 0.0})
    assert (last.text, last.reference.cats) == ("against number 24 .", {"for": 0.0, "against": 1.0})
    assert not first.predicted.cats


def test_each_sentence_is_held_out_once(files: Dict[str, str]) -> None:
    held_out = [text for fold in range(4) for text in read_texts(files, part="test", fold=fold, n_folds=4)]
    assert sorted(held_out) == sorted(read_texts(files))


@pytest.mark.parametrize("fold", range(4))
def test_no_sentence_is_trained_on_and_held_out(fold: int, files: Dict[str, str]) -> None:
    parts = [set(read_texts(files, part=part, fold=fold, n_folds=4)) for part in ("train", "test")]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(read_texts(files))


@pytest.mark.parametrize("fold", range(4))
def test_each_class_is_in_each_fold_alike(fold: int, files: Dict[str, str]) -> None:
    held_out = read_texts(files, part="test", fold=fold, n_folds=4)
    counts = [sum(text.startswith(label) for text in held_out) for label in CLASSES]
    assert counts[0] == counts[1] in (6, 7)


def test_a_limit_takes_the_first_lines_of_each_file(files: Dict[str, str]) -> None:
    assert read_texts(files, limit=2, n_folds=2) == [
        "for number 0 .",
        "for number 1 .",
        "against number 0 .",
        "against number 1 .",
    ]


def test_a_reader_can_be_read_twice(files: Dict[str, str]) -> None:
    reader, nlp = create_reader(files, part="train"), spacy.blank("en")
    assert [example.text for example in reader(nlp)] == [example.text for example in reader(nlp)]


def test_another_part_is_refused(files: Dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\[G930\] part = 'dev' is not known. Choose one of: train, test, all"):
        create_reader(files, part="dev")


@pytest.mark.parametrize("fold, n_folds", [(10, 10), (-1, 10), (0, 1)])
def test_a_fold_that_there_is_not_is_refused(fold: int, n_folds: int, files: Dict[str, str]) -> None:
    with pytest.raises(ValueError, match=rf"\[G931\] There is no fold {fold} of {n_folds}"):
        create_reader(files, fold=fold, n_folds=n_folds)


def test_a_single_class_is_refused(files: Dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\[G932\] .* at least two classes, but found: for"):
        create_reader({"for": files["for"]})


def test_a_file_with_fewer_lines_than_folds_is_named(files: Dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"\[G933\] .*for\.txt has 3 lines, too few for 4 folds"):
        read_texts(files, limit=3, n_folds=4)


def test_a_missing_file_is_named(files: Dict[str, str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"\[G004\] No file matches 'none\.txt'"):
        read_texts({**files, "for": "none.txt"})
