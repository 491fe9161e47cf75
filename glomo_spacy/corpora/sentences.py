"""Prepare a corpus of sentences: raw or tokenised text to token-id shards, a vocabulary and held-out text.

As in `raw_text.py` the text is tokenised once, into provisional ids on disk, renumbered once they are counted. Every
distinct token keeps an id of its own, since a character model reads its spelling; nothing is lower-cased.
Source: the training text of bilm-tf (Peters et al. 2018), which had to be made by hand.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import spacy

from .. import __version__
from ..errors import Errors
from ..files import PathLike, atomic_directory
from ..indexers import VocabularyIndexer
from .sentence_cutting import SentenceStore
from .sentence_settings import SentenceSettings
from .sentence_shards import ALPHABET_NAME, TYPES_NAME, SentenceCorpus
from .sentence_words import Words, check_order, learn_alphabet, order_words
from .settings import count_held_out
from .shard_writer import write_lines, write_record, write_shards
from .shards import COUNTS_NAME, FORMAT_VERSION, VOCABULARY_NAME, read_record, read_words
from .text_files import TextFile, find_text_files, read_lines
from .tokenizing import Chunk, tokenize_lines

_BEGINNING = 1 << 20  # characters that tell whether a given vocabulary is sorted
_PROVISIONAL_NAME = "tokens.u32"
_DEFAULTS = SentenceSettings()


def prepare_sentences(
    patterns: Iterable[str],
    output: PathLike,
    *,
    settings: SentenceSettings = _DEFAULTS,
    dev: Sequence[str] = (),
    vocab: Optional[PathLike] = None,
    n_process: int = 1,
    overwrite: bool = False,
    start: Callable[[int], Any] = lambda n_bytes: None,
    progress: Callable[[int], Any] = lambda n_bytes: None,
) -> Dict[str, Any]:
    """Make a directory of sentences.

    patterns (Iterable[str]): Text files and glob patterns, see `find_text_files`.
    output (PathLike): The directory to make. It appears once it is complete.
    settings (SentenceSettings): How the text is cut and counted.
    dev (Sequence[str]): Files and patterns of held-out text, all of it. Empty: documents of the text are held out.
    vocab (Optional[PathLike]): Use this vocabulary, such as the `vocab.txt` of a checkpoint, in place of a new one.
    n_process (int): Processes that tokenise. The result is the same for any number.
    overwrite (bool): Replace a prepared corpus, or an empty directory, that stands at `output`.
    start (Callable[[int], Any]): Called with the bytes of text before work starts.
    progress (Callable[[int], Any]): Called with the number of bytes of each tokenised part.
    RETURNS (Dict[str, Any]): What stands in `corpus.json`.
    RAISES: As `prepare_corpus`; and before work starts G016 for a vocabulary without specials, G021 for one that is not
        sorted by count, G020 if a file is named in both texts.
    """
    if n_process < 1:
        raise ValueError(Errors.G908.format(name="n_process", expected="at least 1", value=n_process))
    if overwrite and Path(output).is_dir() and any(Path(output).iterdir()):
        read_record(output)  # a mistyped output must not cost somebody a folder of other things
    given = VocabularyIndexer(read_words(Path(vocab)), lang=settings.lang) if vocab is not None else None
    with atomic_directory(output, overwrite=overwrite) as folder:
        texts = _find_texts(patterns, dev=dev)
        if given is not None:
            check_order(given.words, _count_beginning(texts["train"], settings=settings), path=vocab)
        start(sum(file.n_bytes for files in texts.values() for file in files))
        store = SentenceStore(folder / _PROVISIONAL_NAME)
        reader = _Reader(store, settings=settings, n_process=n_process, progress=progress)
        first_of = {split: reader.read(files) for split, files in texts.items()}
        splits = _split_sentences(store, first_of_dev=first_of.get("dev"), settings=settings)
        words, alphabet = _choose_words(store, train=splits["train"].sentences, settings=settings, given=given)
        record = _write(store, folder=folder, splits=splits, words=words, alphabet=alphabet, settings=settings)
        record["headings_left_out"] = reader.n_headings
        record["sources"] = [{"split": split, **file.describe()} for split, files in texts.items() for file in files]
        store.path.unlink()
        return write_record(folder, record=record)


class _Split(NamedTuple):
    sentences: npt.NDArray[np.int64]  # numbers of sentences, in the order in which they are written
    n_documents: int


class _Reader:
    """Read files into a store, one text behind the other.

    Arguments as for `prepare_sentences`. `n_headings` counts the lines that were left out.
    """

    def __init__(
        self, store: SentenceStore, *, settings: SentenceSettings, n_process: int, progress: Callable[[int], Any]
    ) -> None:
        self.store = store
        self.settings = settings
        self.n_process = n_process
        self.progress = progress
        self.n_headings = 0

    def read(self, files: List[TextFile]) -> int:
        """Read one text. Returns the number of its first sentence."""
        first = len(self.store.ends)
        lines = read_lines(files, documents=self.settings.document_mark)
        if not (self.settings.tokenized or self.settings.headings):
            lines = self._without_headings(lines)
        make = self.settings.tokenizer
        tokenize_lines(lines, store=self.store, tokenizer=make, n_process=self.n_process, progress=self.progress)
        if len(self.store.ends) == first:
            raise ValueError(Errors.G005.format(files=", ".join(str(file.path) for file in files)))
        return first

    def _without_headings(self, lines: Iterable[Tuple[str, bool]]) -> Iterator[Tuple[str, bool]]:
        begins = False  # a heading that was left out began a document
        for line, begins_document in lines:
            begins |= begins_document
            text = line.strip()
            if text[0] == text[-1] == "=":
                self.n_headings += 1
            else:
                yield line, begins
                begins = False


def _find_texts(patterns: Iterable[str], *, dev: Sequence[str]) -> Dict[str, List[TextFile]]:
    texts = {"train": find_text_files(patterns)}
    if dev:
        texts["dev"] = find_text_files(dev)
        trained_on = {file.path.resolve() for file in texts["train"]}
        for file in texts["dev"]:
            if file.path.resolve() in trained_on:
                raise ValueError(Errors.G020.format(path=file.path))
    return texts


def _count_beginning(files: List[TextFile], *, settings: SentenceSettings) -> "Counter[str]":
    """Count the words of the first megabyte."""
    chunk = Chunk([], [])
    size = 0
    for line, begins in read_lines(files, documents=settings.document_mark):
        chunk.lines.append(line)
        chunk.begins.append(begins)
        size += len(line)
        if size >= _BEGINNING:
            break
    units = settings.tokenizer()(chunk)
    return Counter(units.types[index] for index in units.tokens)


def _split_sentences(
    store: SentenceStore, *, first_of_dev: Optional[int], settings: SentenceSettings
) -> Dict[str, _Split]:
    """Choose which sentences go where, and in which order. Documents are held out whole."""
    starts = np.asarray(store.documents, dtype=np.int64)
    rng = np.random.default_rng(settings.seed)
    is_held_out = np.zeros(len(starts), dtype=bool)  # per document
    if first_of_dev is not None:
        is_held_out[starts >= first_of_dev] = True
    else:
        number, mark = settings.dev_documents, settings.document_mark
        n_held_out = count_held_out(len(starts), fraction=settings.dev_fraction, number=number, mark=mark)
        is_held_out[rng.permutation(len(starts))[:n_held_out]] = True
    in_dev = np.repeat(is_held_out, np.diff(starts, append=len(store.ends)))  # per sentence
    splits = {
        split: _Split(np.flatnonzero(in_dev == flag), int((is_held_out == flag).sum()))
        for split, flag in (("train", False), ("dev", True))
    }
    if settings.shuffle:
        splits = {name: split._replace(sentences=rng.permutation(split.sentences)) for name, split in splits.items()}
    return {name: split for name, split in splits.items() if split.n_documents}


def _choose_words(
    store: SentenceStore,
    *,
    train: npt.NDArray[np.int64],
    settings: SentenceSettings,
    given: Optional[VocabularyIndexer],
) -> Tuple[Words, Optional[List[str]]]:
    """The words in their order and the alphabet, both counted on the training sentences alone."""
    types, counts = store.types, store.count(train)
    words = order_words(
        types,
        counts,
        n_sentences=len(train),
        max_words=settings.max_words,
        min_count=settings.min_count,
        given=given,
        unknown=settings.unknown,
    )
    if settings.alphabet is None:
        return words, None
    pairs = zip(types, counts.tolist(), strict=True)
    return words, learn_alphabet(dict(pair for pair in pairs if pair[0] != settings.unknown), size=settings.alphabet)


def _write(
    store: SentenceStore,
    *,
    folder: Path,
    splits: Dict[str, _Split],
    words: Words,
    alphabet: Optional[List[str]],
    settings: SentenceSettings,
) -> Dict[str, Any]:
    """Write word lists and shards. Returns the record of what was written."""
    write_lines(folder / TYPES_NAME, words.types)
    write_lines(folder / VOCABULARY_NAME, words.types[: words.n_words])
    write_lines(folder / COUNTS_NAME, map(str, words.counts))
    if alphabet is not None:
        write_lines(folder / ALPHABET_NAME, alphabet)
    return {
        "format_version": FORMAT_VERSION,
        "format": SentenceCorpus.format,
        "lang": settings.lang,
        "n_words": words.n_words,
        "n_types": len(words.types),
        "alphabet": None if alphabet is None else len(alphabet),
        "dtype": str(words.final_ids.dtype),
        "splits": {
            split: _write_split(
                store, folder=folder, name=split, split=chosen, words=words, shard_tokens=settings.shard_tokens
            )
            for split, chosen in splits.items()
        },
        "settings": asdict(settings),
        "versions": {"glomo-spacy": __version__, "spacy": spacy.__version__},
    }


def _write_split(
    store: SentenceStore, *, folder: Path, name: str, split: _Split, words: Words, shard_tokens: int
) -> Dict[str, Any]:
    sizes = write_shards(
        folder,
        split=name,
        tokens=store.tokens,
        ends=store.ends,
        documents=split.sentences,
        final_ids=words.final_ids,
        is_unknown=words.is_unknown,
        shard_tokens=shard_tokens,
    )
    return {"documents": split.n_documents, "sentences": sizes.pop("documents"), **sizes}
