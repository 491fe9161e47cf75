"""`glomo-spacy prepare`: raw text to a corpus that `pretrain` reads."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..corpora.raw_text import CorpusSettings
    from ..corpora.sentences import SentenceSettings

    Settings = Union[CorpusSettings, SentenceSettings]

FORMATS = ("documents", "sentences")


def prepare_cli(
    text: List[str] = Arg(
        ...,
        help="Text files or patterns in quotes ('wiki/**/*.txt'): UTF-8, or .jsonl with \"text\"; also .gz, .xz, .bz2",
    ),
    output: Path = Arg(..., help="Directory to make"),
    corpus_format: str = Opt(
        "documents", "--format", "-f", help="documents: running text, for glomo. sentences: for elmo, spelling kept"
    ),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser"),
    documents: Optional[str] = Opt(
        None,
        "--documents",
        "-d",
        help="What separates documents in plain text: blank-line (default), line (with --tokenized) or file",
    ),
    max_words: int = Opt(
        100_000, "--max-words", "--max-size", "-n", help="Words kept, the most frequent ones; 0 keeps all"
    ),
    min_count: int = Opt(1, "--min-count", help="Words rarer than this are unknown"),
    vocab: Optional[Path] = Opt(
        None, "--vocab", help="Use this vocab.txt, such as a checkpoint's, in place of a new one"
    ),
    digits: Optional[bool] = Opt(
        None, "--digits/--no-digits", help="documents: every token that holds a digit becomes N (default), or not"
    ),
    casing: Optional[str] = Opt(
        None, "--casing", help="documents: exact, lower (default), or fallback (exact, lower, capitalised, upper)"
    ),
    tokenized: Optional[bool] = Opt(
        None, "--tokenized", help="sentences: TEXT has one sentence per line, with blanks between its tokens"
    ),
    unknown: Optional[str] = Opt(
        None, "--unknown", help="sentences: with --tokenized, a token such as <unk> that stands for unknown words"
    ),
    headings: Optional[bool] = Opt(
        None, "--headings", help="sentences: keep lines of raw text such as `= Title =`, which are left out else"
    ),
    max_tokens: Optional[int] = Opt(None, "--max-tokens", help="sentences: cut those that are longer"),
    alphabet: Optional[int] = Opt(
        None, "--alphabet", help="sentences: learn so many characters, for a model that shall not read bytes"
    ),
    dev: Optional[List[str]] = Opt(
        None, "--dev", help="sentences: file or pattern of held-out text, in place of a share. May be repeated"
    ),
    dev_fraction: Optional[float] = Opt(None, "--dev-fraction", help="Share of documents held out (default 0.005)"),
    dev_documents: Optional[int] = Opt(
        None, "--dev-documents", help="Number of documents held out, in place of the share"
    ),
    shuffle: bool = Opt(False, "--shuffle", help="Write the documents, or sentences, in random order"),
    seed: int = Opt(0, "--seed", help="Decides which documents are held out, and the order"),
    shard_tokens: int = Opt(10_000_000, "--shard-tokens", help="Tokens per shard, about"),
    n_process: int = Opt(1, "--n-process", "-p", help="Processes that tokenise"),
    force: bool = Opt(False, "--force", "-F", help="Replace an earlier corpus at OUTPUT"),
) -> None:
    """
    Turn text into token-id shards, a vocabulary and a held-out split.

    The vocabulary is counted on the training split. Sentences are cut by spaCy's rules, and at line ends. The result is
    the same for any number of processes. Examples:

    glomo-spacy prepare 'wiki/*.txt' corpus --max-words 30000 -p 4

    glomo-spacy prepare 'wiki/*.txt' corpus --format sentences --max-words 30000 -p 4
    """
    common = {
        "lang": lang,
        "documents": documents,
        "min_count": min_count,
        "dev_fraction": dev_fraction,
        "dev_documents": dev_documents,
        "shuffle": shuffle,
        "seed": seed,
        "shard_tokens": shard_tokens,
    }
    own: Dict[str, Dict[str, Any]] = {
        "documents": {"digits": digits, "casing": casing},
        "sentences": {
            "tokenized": tokenized,
            "unknown": unknown,
            "headings": headings,
            "max_tokens": max_tokens,
            "alphabet": alphabet,
            "dev": dev or None,
        },
    }
    settings = _make_settings(corpus_format, common=common, own=own, max_words=max_words or None)
    prepare(text, output, settings=settings, dev=dev or (), vocab=vocab, n_process=n_process, force=force)


def prepare(
    text: Sequence[str],
    output: Path,
    *,
    settings: "Settings",
    dev: Sequence[str] = (),
    vocab: Optional[Path] = None,
    n_process: int = 1,
    force: bool = False,
) -> Dict[str, Any]:
    """Prepare a corpus with a progress bar, and print a table of what was made.

    Arguments and errors are those of `corpora.prepare_corpus` or, for `SentenceSettings`, `corpora.prepare_sentences`,
    which this calls; `force` is their `overwrite`.
    RETURNS (Dict[str, Any]): What stands in `corpus.json`.
    """
    from tqdm import tqdm

    from ..corpora import prepare_corpus, prepare_sentences
    from ..corpora.sentences import SentenceSettings

    started = time.perf_counter()
    with tqdm(unit="B", unit_scale=True, desc="Tokenise", delay=0.5) as bar:
        common: Dict[str, Any] = {
            "vocab": vocab,
            "n_process": n_process,
            "overwrite": force,
            "start": bar.reset,
            "progress": bar.update,
        }
        if isinstance(settings, SentenceSettings):
            record = prepare_sentences(text, output, settings=settings, dev=dev, **common)
        else:
            record = prepare_corpus(text, output, settings=settings, **common)
    _print_table(record, output=output, seconds=time.perf_counter() - started)
    return record


def _make_settings(
    corpus_format: str, *, common: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]], max_words: Optional[int]
) -> "Settings":
    """The settings of a format; None stands for an option that was not given.

    RAISES: G908 for an unknown format; G018 if an option of another one was given; G019 if --dev and a share were.
    """
    from ..corpora.raw_text import CorpusSettings
    from ..corpora.sentences import SentenceSettings
    from ..errors import Errors

    if corpus_format not in FORMATS:
        expected = f"one of {', '.join(FORMATS)}"
        raise ValueError(Errors.G908.format(name="--format", expected=expected, value=corpus_format))
    for belongs, options in own.items():
        for name, value in options.items():
            if belongs != corpus_format and value is not None:
                option = _as_typed(name)
                raise ValueError(Errors.G018.format(option=option, belongs=belongs, format=corpus_format))
    values = {name: value for name, value in {**common, **own[corpus_format]}.items() if value is not None}
    if values.pop("dev", None):
        for name in ("dev_fraction", "dev_documents"):
            if name in values:
                raise ValueError(Errors.G019.format(option=_as_typed(name)))
    make = {"documents": CorpusSettings, "sentences": SentenceSettings}[corpus_format]
    return make(max_words=max_words, **values)


def _as_typed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _print_table(record: Dict[str, Any], *, output: Path, seconds: float) -> None:
    from wasabi import table

    units = [unit for unit in ("documents", "sentences", "tokens") if unit in record["splits"]["train"]]
    rows = [
        (
            split,
            *(f"{sizes[unit]:,}" for unit in units),
            f"{sizes['unknown_rate']:.2%}",
            len(sizes["shards"]),
        )
        for split, sizes in record["splits"].items()
    ]
    header = ("Split", *(unit.capitalize() for unit in units), "Unknown", "Shards")
    print(table(rows, header=header, divider=True, aligns=("l", *"r" * (len(header) - 1))))
    n_tokens = sum(sizes["tokens"] for sizes in record["splits"].values())
    if "n_types" in record:
        print(f"Vocabulary: {record['n_words']:,} words with <S>, </S> and <UNK>, of {record['n_types']:,} spellings")
        print(f"Headings left out: {record['headings_left_out']:,}")
    else:
        print(f"Vocabulary: {record['n_words']:,} words with <unk> ({record['dtype']})")
    print(f"Time: {seconds:.1f} s ({n_tokens / seconds:,.0f} tokens/s)")
    print(f"✔ {output}")
