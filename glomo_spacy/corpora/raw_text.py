"""Prepare a corpus: raw text to token-id shards, a vocabulary and a held-out split.

The text is tokenised once, into provisional ids on disk. Once they are counted, the vocabulary is chosen and the ids
are renumbered shard by shard. So memory holds the distinct tokens and one number per document, never the text, and the
result depends on the text and the settings alone, not on the number of processes.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import spacy

from .. import __version__
from ..errors import Errors
from ..files import PathLike, atomic_directory
from ..indexers import WordIndexer, build_vocabulary, count_words
from .settings import check_settings, count_held_out
from .shard_writer import write_lines, write_record, write_shards
from .shards import COUNTS_NAME, FORMAT_VERSION, VOCABULARY_NAME, read_record, read_words
from .text_files import find_text_files, read_lines
from .tokenizing import SpacyTokenizer, TokenStore, tokenize_lines

_BLOCK = 1 << 22  # tokens counted at a time
_PROVISIONAL_NAME = "tokens.u32"


@dataclass(frozen=True)
class CorpusSettings:
    """What a prepared corpus depends on besides its text.

    lang (str): Language of the tokeniser, as for `spacy.blank`.
    documents (str): What separates documents in plain text: "blank-line", "line" or "file".
    max_words (Optional[int]): Words kept, the unknown word not counted. Published: 100,000. None: all.
    min_count (int): Words that are rarer in the training split are unknown.
    digits (bool): Every token that holds a digit becomes `N`, as published.
    casing (str): "exact", "lower" or "fallback", see `WordIndexer`.
    dev_fraction (float): Share of documents held out, at least one if above 0. 0 to below 1.
    dev_documents (Optional[int]): Held-out documents by number, in place of the share.
    shuffle (bool): Write the documents in random order. Shards are shuffled in training anyway.
    seed (int): Decides which documents are held out, and their order. At least 0.
    shard_tokens (int): Tokens per shard, about: a document is never divided.
    RAISES: G908 (ValueError) for a value outside its range.
    """

    lang: str = "en"
    documents: str = "blank-line"
    max_words: Optional[int] = 100_000
    min_count: int = 1
    digits: bool = True
    casing: str = "lower"
    dev_fraction: float = 0.005
    dev_documents: Optional[int] = None
    shuffle: bool = False
    seed: int = 0
    shard_tokens: int = 10_000_000

    def __post_init__(self) -> None:
        check_settings(self)
        self.indexer(["<unk>"])  # refuses an unknown casing before any work

    def indexer(self, words: Sequence[str]) -> WordIndexer:
        """The indexer of these settings over a vocabulary."""
        return WordIndexer(words, digits=self.digits, casing=self.casing, lang=self.lang)


def prepare_corpus(
    patterns: Iterable[str],
    output: PathLike,
    *,
    settings: CorpusSettings = CorpusSettings(),
    vocab: Optional[PathLike] = None,
    n_process: int = 1,
    overwrite: bool = False,
    start: Callable[[int], Any] = lambda n_bytes: None,
    progress: Callable[[int], Any] = lambda n_bytes: None,
) -> Dict[str, Any]:
    """Make a corpus directory from raw text.

    patterns (Iterable[str]): Text files and glob patterns, see `find_text_files`.
    output (PathLike): The directory to make. It appears once it is complete.
    settings (CorpusSettings): How the text is cut and counted.
    vocab (Optional[PathLike]): Use this vocabulary, such as the `vocab.txt` of a checkpoint, in place of a new one.
    n_process (int): Processes that tokenise. The result is the same for any number.
    overwrite (bool): Replace a prepared corpus, or an empty directory, that stands at `output`.
    start (Callable[[int], Any]): Called with the bytes of text before work starts.
    progress (Callable[[int], Any]): Called with the number of bytes of each tokenised part.
    RETURNS (Dict[str, Any]): What stands in `corpus.json`.
    RAISES: G004-G009, G901, G902 (`vocab` is missing), G903 (something else stands at `output`) and G908, all but G007
        and G009 before work starts; G900 if the disk is full.
    """
    if n_process < 1:
        raise ValueError(Errors.G908.format(name="n_process", expected="at least 1", value=n_process))
    if overwrite and Path(output).is_dir() and any(Path(output).iterdir()):
        read_record(output)  # a mistyped output must not cost somebody a folder of other things
    given = settings.indexer(read_words(Path(vocab))) if vocab is not None else None
    with atomic_directory(output, overwrite=overwrite) as folder:
        files = find_text_files(patterns)
        start(sum(file.n_bytes for file in files))
        provisional = folder / _PROVISIONAL_NAME
        lines = read_lines(files, documents=settings.documents)
        store, tokenizer = TokenStore(provisional), partial(SpacyTokenizer, settings.lang)
        tokenize_lines(lines, store=store, tokenizer=tokenizer, n_process=n_process, progress=progress)
        if not store.ends:
            raise ValueError(Errors.G005.format(files=", ".join(str(file.path) for file in files)))
        record = _index(store, folder=folder, settings=settings, given=given)
        record["sources"] = [file.describe() for file in files]
        provisional.unlink()
        return write_record(folder, record=record)


def _index(
    store: TokenStore, *, folder: Path, settings: CorpusSettings, given: Optional[WordIndexer]
) -> Dict[str, Any]:
    """Hold documents out, choose the vocabulary, write shards. Returns the record of what was written."""
    splits = _split_documents(len(store.ends), settings=settings)
    words, counts = _choose_words(store, held_out=splits.get("dev"), settings=settings, given=given)
    write_lines(folder / VOCABULARY_NAME, words)
    write_lines(folder / COUNTS_NAME, map(str, counts))
    indexer = settings.indexer(words)
    final_ids = indexer.ids(store.types).astype(np.uint16 if len(words) <= 1 << 16 else np.uint32)
    return {
        "format_version": FORMAT_VERSION,
        "lang": settings.lang,
        "indexer": indexer.config,
        "n_words": len(words),
        "dtype": str(final_ids.dtype),
        "splits": {
            split: write_shards(
                folder,
                split=split,
                tokens=store.tokens,
                ends=store.ends,
                documents=documents,
                final_ids=final_ids,
                is_unknown=np.arange(len(words)) == indexer.unknown_id,
                shard_tokens=settings.shard_tokens,
            )
            for split, documents in splits.items()
        },
        "settings": asdict(settings),
        "versions": {"glomo-spacy": __version__, "spacy": spacy.__version__},
    }


def _split_documents(n_documents: int, *, settings: CorpusSettings) -> Dict[str, npt.NDArray[np.int64]]:
    """Choose which documents go where, and in which order: numbers of documents by split."""
    order = np.random.default_rng(settings.seed).permutation(n_documents)
    n_held_out = count_held_out(
        n_documents, fraction=settings.dev_fraction, number=settings.dev_documents, mark=settings.documents
    )
    held_out, rest = order[:n_held_out], order[n_held_out:]
    splits = {"train": rest, "dev": held_out} if n_held_out else {"train": rest}
    return splits if settings.shuffle else {split: np.sort(documents) for split, documents in splits.items()}


def _choose_words(
    store: TokenStore,
    *,
    held_out: Optional[npt.NDArray[np.int64]],
    settings: CorpusSettings,
    given: Optional[WordIndexer],
) -> Tuple[List[str], List[int]]:
    """The vocabulary and the count of each word, from the training documents alone."""
    tokens, ends = store.tokens, store.ends
    types = store.types
    counts = np.zeros(len(types), dtype=np.int64)
    for begin in range(0, len(tokens), _BLOCK):
        counts += np.bincount(tokens[begin : begin + _BLOCK], minlength=len(counts))
    for document in held_out if held_out is not None else ():
        begin = ends[document - 1] if document else 0
        np.subtract.at(counts, tokens[begin : ends[document]], 1)
    seen = {text: count for text, count in zip(types, counts.tolist(), strict=True) if count}
    if given is None:
        by_form = count_words(seen, digits=settings.digits, casing=settings.casing)
        return build_vocabulary(by_form, max_words=settings.max_words, min_count=settings.min_count)
    by_id = np.zeros(len(given), dtype=np.int64)
    np.add.at(by_id, given.ids(seen), list(seen.values()))
    return list(given.words), by_id.tolist()
