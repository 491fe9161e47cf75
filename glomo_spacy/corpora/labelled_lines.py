"""Sentences with a class, one file for each class and one sentence a line, read as they are by `spacy train`.

So the polarity data of Pang and Lee 2005 are laid out, and many others. Folds for cross-validation come with the
reader: nothing is converted or copied.
"""

from functools import partial
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List

from spacy.language import Language
from spacy.training import Example
from spacy.util import registry

from ..errors import Errors
from .text_files import find_text_files, read_lines

PARTS = ("train", "test", "all")


@registry.readers("glomo_spacy.labelled_lines.v1")
def create_labelled_lines_reader_v1(
    files: Dict[str, str], *, part: str = "all", fold: int = 0, n_folds: int = 10, limit: int = 0
) -> Callable[[Language], Iterable[Example]]:
    """Read sentences whose class is the file they stand in, as examples for `textcat`.

    A line is held out by its place in its file, modulo `n_folds`, so that every fold has every class in the same
    proportion and each sentence is held out once. Empty lines do not count.

    files (Dict[str, str]): Path by class: UTF-8 text, possibly packed (.gz, .xz, .bz2).
    part (str): "train": what is not held out; "test": what is; "all": both.
    fold (int): Which fold is held out, in [0, n_folds).
    n_folds (int): Number of folds, > 1.
    limit (int): Lines of each file that are read before folds are made, 0 for all.
    RETURNS (Callable[[Language], Iterable[Example]]): Gives all examples anew at each call, class by class.
    RAISES: ValueError G930 for another part; G931 for a fold that there is not; G932 for fewer than two classes; at the
        first call also G004, G005 or G006 for a file that cannot be read, and G933 for one with fewer lines than folds.
    """
    if part not in PARTS:
        raise ValueError(Errors.G930.format(value=part, options=", ".join(PARTS)))
    if n_folds < 2 or not 0 <= fold < n_folds:
        raise ValueError(Errors.G931.format(fold=fold, n_folds=n_folds))
    if len(files) < 2:
        raise ValueError(Errors.G932.format(found=", ".join(files) or "none"))
    return partial(_read_examples, files=dict(files), part=part, fold=fold, n_folds=n_folds, limit=limit)


def read_labelled_lines(files: Dict[str, str], *, limit: int = 0) -> Dict[str, List[str]]:
    """The sentences of each class, white space around them removed.

    files (Dict[str, str]): Path by class.
    limit (int): Lines of each file at most, 0 for all.
    RETURNS (Dict[str, List[str]]): Sentences by class, in the order of the file.
    RAISES: FileNotFoundError G004, ValueError G005 or G006, naming the file.
    """
    sentences = {}
    for label, path in files.items():
        lines = (line.strip() for line, _ in read_lines(find_text_files([str(Path(path))]), documents="line"))
        sentences[label] = list(_first(lines, limit))
    return sentences


def _read_examples(
    nlp: Language, *, files: Dict[str, str], part: str, fold: int, n_folds: int, limit: int
) -> Iterator[Example]:
    sentences = read_labelled_lines(files, limit=limit)
    for label, lines in sentences.items():
        if len(lines) < n_folds:
            raise ValueError(Errors.G933.format(path=files[label], n_lines=len(lines), n_folds=n_folds))
    for label, lines in sentences.items():
        categories = {known: float(known == label) for known in sentences}
        for line in (line for place, line in enumerate(lines) if _is_in(part, place % n_folds == fold)):
            yield Example.from_dict(nlp.make_doc(line), {"cats": categories})


def _is_in(part: str, is_held_out: bool) -> bool:
    return part == "all" or is_held_out == (part == "test")


def _first(lines: Iterable[str], limit: int) -> Iterator[str]:
    for place, line in enumerate(lines):
        if limit and place == limit:
            return
        yield line
