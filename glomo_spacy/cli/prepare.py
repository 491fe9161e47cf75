"""`glomo-spacy prepare`: raw text to a corpus that `pretrain` reads."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..corpora.raw_text import CorpusSettings


def prepare_cli(
    text: List[str] = Arg(
        ...,
        help="Text files or patterns in quotes ('wiki/**/*.txt'): UTF-8, or .jsonl with \"text\"; also .gz, .xz, .bz2",
    ),
    output: Path = Arg(..., help="Directory to make"),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser"),
    documents: str = Opt(
        "blank-line", "--documents", "-d", help="What separates documents in plain text: blank-line, line or file"
    ),
    max_words: int = Opt(100_000, "--max-words", "-n", help="Words kept, the most frequent ones; 0 keeps all"),
    min_count: int = Opt(1, "--min-count", help="Words rarer than this are unknown"),
    vocab: Optional[Path] = Opt(
        None, "--vocab", help="Use this vocab.txt, such as a checkpoint's, in place of a new one"
    ),
    digits: bool = Opt(True, "--digits/--no-digits", help="Every token that holds a digit becomes N"),
    casing: str = Opt("lower", "--casing", help="exact, lower, or fallback (exact, lower, capitalised, upper)"),
    dev_fraction: float = Opt(0.005, "--dev-fraction", help="Share of documents held out"),
    dev_documents: Optional[int] = Opt(
        None, "--dev-documents", help="Number of documents held out, in place of the share"
    ),
    shuffle: bool = Opt(False, "--shuffle", help="Write the documents in random order"),
    seed: int = Opt(0, "--seed", help="Decides which documents are held out, and their order"),
    shard_tokens: int = Opt(10_000_000, "--shard-tokens", help="Tokens per shard, about"),
    n_process: int = Opt(1, "--n-process", "-p", help="Processes that tokenise"),
    force: bool = Opt(False, "--force", "-F", help="Replace an earlier corpus at OUTPUT"),
) -> None:
    """
    Turn raw text into token-id shards, a vocabulary and a held-out split.

    The vocabulary is counted on the training split. The result is the same for any number of processes. Example:

    glomo-spacy prepare 'wiki/*.txt' corpus --max-words 30000 -p 4
    """
    from ..corpora.raw_text import CorpusSettings

    settings = CorpusSettings(
        lang=lang,
        documents=documents,
        max_words=max_words or None,
        min_count=min_count,
        digits=digits,
        casing=casing,
        dev_fraction=dev_fraction,
        dev_documents=dev_documents,
        shuffle=shuffle,
        seed=seed,
        shard_tokens=shard_tokens,
    )
    prepare(text, output, settings=settings, vocab=vocab, n_process=n_process, force=force)


def prepare(
    text: List[str],
    output: Path,
    *,
    settings: "CorpusSettings",
    vocab: Optional[Path] = None,
    n_process: int = 1,
    force: bool = False,
) -> Dict[str, Any]:
    """Prepare a corpus with a progress bar, and print a table of what was made.

    Arguments and errors are those of `corpora.prepare_corpus`, which this calls; `force` is its `overwrite`.
    RETURNS (Dict[str, Any]): What stands in `corpus.json`.
    """
    from tqdm import tqdm

    from ..corpora.raw_text import prepare_corpus

    started = time.perf_counter()
    with tqdm(unit="B", unit_scale=True, desc="Tokenise", delay=0.5) as bar:
        record = prepare_corpus(
            text,
            output,
            settings=settings,
            vocab=vocab,
            n_process=n_process,
            overwrite=force,
            start=bar.reset,
            progress=bar.update,
        )
    _print_table(record, output=output, seconds=time.perf_counter() - started)
    return record


def _print_table(record: Dict[str, Any], *, output: Path, seconds: float) -> None:
    from wasabi import table

    rows = [
        (split, f"{sizes['documents']:,}", f"{sizes['tokens']:,}", f"{sizes['unknown_rate']:.2%}", len(sizes["shards"]))
        for split, sizes in record["splits"].items()
    ]
    header = ("Split", "Documents", "Tokens", "Unknown", "Shards")
    print(table(rows, header=header, divider=True, aligns=("l", "r", "r", "r", "r")))
    n_tokens = sum(sizes["tokens"] for sizes in record["splits"].values())
    print(f"Vocabulary: {record['n_words']:,} words with <unk> ({record['dtype']})")
    print(f"Time: {seconds:.1f} s ({n_tokens / seconds:,.0f} tokens/s)")
    print(f"✔ {output}")
