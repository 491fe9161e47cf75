"""Prepare a corpus of questions: files in the format of SQuAD to token ids, answer spans and a table of word vectors.

Source: the preprocessing of the GLoMo reader (Yang et al. 2018, their `squad/prepro.py`): answers are the tokens that
overlap them, and words are looked up in several casings. There, ids were those of the vectors' words, so that a word
without vector lost its spelling; here they keep it, for graphs and characters. Nothing is dropped for its length.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set

import numpy as np
import numpy.typing as npt
import spacy

from .. import __version__
from ..errors import Errors
from ..files import PathLike, atomic_directory, atomic_write, sha256_of
from ..indexers.word_ids import casing_forms
from .shard_writer import write_lines, write_record
from .shards import FORMAT_VERSION, read_record
from .squad_corpus import FORMAT, TYPES_NAME, VECTORS_NAME, WORDS_NAME
from .squad_file import SquadData, read_squad
from .squad_tokens import SquadTokenizer, TokenizedSplit
from .vector_tables import VectorTable, read_vectors

DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class SquadSettings:
    """What a corpus of questions depends on besides its files.

    lang (str): Language of the tokeniser, as for `spacy.blank`.
    answerable_only (bool): Leave out questions without an answer, of which SQuAD 2.0 has many.
    max_vectors (Optional[int]): Keep the first so many word vectors, for texts that are not known yet. None: those of
        words in the questions and contexts.
    vector_dtype (str): "float32" or, half as large, "float16".
    RAISES: G908 (ValueError) for a value outside its range.
    """

    lang: str = "en"
    answerable_only: bool = False
    max_vectors: Optional[int] = None
    vector_dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.max_vectors is not None and self.max_vectors < 1:
            raise ValueError(Errors.G908.format(name="max_vectors", expected="at least 1", value=self.max_vectors))
        if self.vector_dtype not in DTYPES:
            expected = f"one of {', '.join(DTYPES)}"
            raise ValueError(Errors.G908.format(name="vector_dtype", expected=expected, value=self.vector_dtype))


def prepare_squad(
    train: Sequence[PathLike],
    output: PathLike,
    *,
    settings: SquadSettings = SquadSettings(),
    dev: Sequence[PathLike] = (),
    vectors: Optional[PathLike] = None,
    overwrite: bool = False,
    start: Callable[[int], Any] = lambda n_questions: None,
    progress: Callable[[int], Any] = lambda n_questions: None,
) -> Dict[str, Any]:
    """Make a directory of questions, contexts and answers.

    train (Sequence[PathLike]): Files to train on, possibly packed.
    output (PathLike): The directory to make. It appears once it is complete.
    settings (SquadSettings): How texts are cut and which vectors are kept.
    dev (Sequence[PathLike]): Held-out files. Empty: there is no held-out split.
    vectors (Optional[PathLike]): Word vectors: a text file, or a directory made by `spacy init vectors`.
    overwrite (bool): Replace a prepared corpus, or an empty directory, that stands at `output`.
    start (Callable[[int], Any]): Called with the number of questions before they are tokenised.
    progress (Callable[[int], Any]): Called with the number of questions of each tokenised context.
    RETURNS (Dict[str, Any]): What stands in `corpus.json`.
    RAISES: As `read_squad` and `read_vectors`; G008 for a language that there is not; G020 if a file is named in both
        splits; G067 for an id that stands in two files of a split; G901 if `output` exists.
    """
    if overwrite and Path(output).is_dir() and any(Path(output).iterdir()):
        read_record(output)  # a mistyped output must not cost somebody a folder of other things
    with atomic_directory(output, overwrite=overwrite) as folder:
        files = {split: paths for split, paths in (("train", train), ("dev", dev)) if paths}
        tokenizer = SquadTokenizer(settings.lang)
        read = {split: _read_files(paths, settings=settings) for split, paths in _apart(files).items()}
        start(sum(data.n_questions for data in read.values()))
        splits = {split: TokenizedSplit(data, tokenizer, progress=progress) for split, data in read.items()}
        types, ids = tokenizer.types, tokenizer.ids
        table = None if vectors is None else read_vectors(vectors, types=types, limit=settings.max_vectors)
        is_known = _known_types(types, table)
        write_lines(folder / TYPES_NAME, types)
        record = {
            "format_version": FORMAT_VERSION,
            "format": FORMAT,
            "n_types": len(types),
            "splits": {
                name: {**split.describe(), **_write_split(folder, name, split, ids=ids, is_known=is_known)}
                for name, split in splits.items()
            },
            "vectors": None if table is None else _write_vectors(folder, table, path=vectors, settings=settings),
            "settings": asdict(settings),
            "versions": {"glomo-spacy": __version__, "spacy": spacy.__version__},
            "sources": [_describe(Path(path), split=split) for split, paths in files.items() for path in paths],
        }
        return write_record(folder, record=record)


def _apart(files: Dict[str, Sequence[PathLike]]) -> Dict[str, Sequence[PathLike]]:
    """Refuse a file that is in both splits."""
    trained_on = {Path(path).resolve() for path in files["train"]}
    for path in files.get("dev", ()):
        if Path(path).resolve() in trained_on:
            raise ValueError(Errors.G020.format(path=path))
    return files


def _read_files(paths: Sequence[PathLike], *, settings: SquadSettings) -> SquadData:
    """The files of a split as one."""
    files = [read_squad(path, answerable_only=settings.answerable_only) for path in paths]
    seen: Set[str] = set()
    for data in files:
        for question in data.questions:
            if question.id in seen:
                raise ValueError(Errors.G067.format(path=data.path, id=question.id))
            seen.add(question.id)
    return SquadData(
        path=files[0].path,
        paragraphs=[paragraph for data in files for paragraph in data.paragraphs],
        n_moved=sum(data.n_moved for data in files),
        n_unanswerable=sum(data.n_unanswerable for data in files),
    )


def _known_types(types: List[str], table: Optional[VectorTable]) -> npt.NDArray[np.bool_]:
    """Which types have a vector in some casing. Shape: (types,)."""
    words = frozenset(table.words if table is not None else ())
    forms = (casing_forms(token, digits=False, casing="fallback") for token in types)
    return np.array([not words.isdisjoint(tried) for tried in forms], dtype=bool)


def _write_split(
    folder: Path, name: str, split: TokenizedSplit, *, ids: Dict[int, int], is_known: npt.NDArray[np.bool_]
) -> Dict[str, Any]:
    """Write the files of a split. Returns the share of its tokens that have a vector."""
    arrays = split.arrays(ids)
    for key, values in arrays.items():
        with atomic_write(folder / f"{name}.{key}.npy") as file:
            np.save(file, values, allow_pickle=False)
    paragraphs = split.data.paragraphs
    _write_jsonl(folder / f"{name}.contexts.jsonl", (paragraph.context for paragraph in paragraphs))
    answers = split.data.answers.items()
    _write_jsonl(folder / f"{name}.records.jsonl", ({"id": key, "answers": texts} for key, texts in answers))
    known = {key: float(is_known[arrays[key]].mean()) for key in ("tokens", "questions")}
    return {"known": {"contexts": round(known["tokens"], 6), "questions": round(known["questions"], 6)}}


def _write_vectors(folder: Path, table: VectorTable, *, path: Any, settings: SquadSettings) -> Dict[str, Any]:
    write_lines(folder / WORDS_NAME, table.words)
    with atomic_write(folder / VECTORS_NAME) as file:
        np.save(file, table.vectors.astype(settings.vector_dtype), allow_pickle=False)
    n_words, width = table.vectors.shape
    return {"file": Path(path).name, "n_words": n_words, "width": width}


def _write_jsonl(path: Path, values: Iterable[Any]) -> None:
    write_lines(path, (json.dumps(value, ensure_ascii=False) for value in values))


def _describe(path: Path, *, split: str) -> Dict[str, Any]:
    return {"split": split, "file": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
