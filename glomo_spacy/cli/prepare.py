"""`glomo-spacy prepare`: raw text to a corpus that `pretrain` reads."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ..errors import Errors
from ._app import Arg, Opt
from ._squad_table import print_squad_table

if TYPE_CHECKING:
    from ..corpora.raw_text import CorpusSettings
    from ..corpora.sentence_settings import SentenceSettings
    from ..corpora.squad_prepare import SquadSettings

    Settings = Union[CorpusSettings, SentenceSettings, SquadSettings]

FORMATS = ("documents", "sentences", "squad")


def prepare_cli(
    text: List[str] = Arg(
        ...,
        help="Text files or patterns in quotes ('wiki/**/*.txt'): UTF-8, or .jsonl with \"text\"; also .gz, .xz, .bz2. "
        "squad: .json in the format of SQuAD",
    ),
    output: Path = Arg(..., help="Directory to make"),
    corpus_format: str = Opt(
        "documents",
        "--format",
        "-f",
        help="documents: running text, for glomo. sentences: for elmo, spelling kept. squad: questions, for reader",
    ),
    lang: str = Opt("en", "--lang", "-l", help="Language of the tokeniser"),
    documents: Optional[str] = Opt(
        None,
        "--documents",
        "-d",
        help="What separates documents in plain text: blank-line (default), line (with --tokenized) or file",
    ),
    max_words: Optional[int] = Opt(
        None, "--max-words", "--max-size", "-n", help="Words kept, the most frequent ones (100000); 0 keeps all"
    ),
    min_count: Optional[int] = Opt(None, "--min-count", help="Words rarer than this are unknown (default 1)"),
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
        None, "--dev", help="sentences, squad: file (or pattern) of held-out text. May be repeated"
    ),
    dev_fraction: Optional[float] = Opt(None, "--dev-fraction", help="Share of documents held out (default 0.005)"),
    dev_documents: Optional[int] = Opt(
        None, "--dev-documents", help="Number of documents held out, in place of the share"
    ),
    shuffle: Optional[bool] = Opt(None, "--shuffle", help="Write the documents, or sentences, in random order"),
    seed: Optional[int] = Opt(None, "--seed", help="Decides which documents are held out, and the order (default 0)"),
    shard_tokens: Optional[int] = Opt(None, "--shard-tokens", help="Tokens per shard, about (default 10000000)"),
    vectors: Optional[Path] = Opt(
        None, "--vectors", help="squad: word vectors; text (.gz .xz .bz2) or a directory of `spacy init vectors`"
    ),
    max_vectors: Optional[int] = Opt(
        None, "--max-vectors", help="squad: keep the first so many vectors, not those of words in the corpus"
    ),
    vector_dtype: Optional[str] = Opt(None, "--vector-dtype", help="squad: float32 (default) or float16"),
    answerable_only: Optional[bool] = Opt(
        None, "--answerable-only", help="squad: leave out questions without an answer (SQuAD 2.0)"
    ),
    n_process: Optional[int] = Opt(None, "--n-process", "-p", help="Processes that tokenise (default 1)"),
    force: bool = Opt(False, "--force", "-F", help="Replace an earlier corpus at OUTPUT"),
) -> None:
    """
    Turn text into token-id shards, a vocabulary and a held-out split; or questions into tokens, answers and vectors.

    The vocabulary is counted on the training split. Sentences are cut by spaCy's rules, and at line ends. The result is
    the same for any number of processes. Examples:

    glomo-spacy prepare 'wiki/*.txt' corpus --max-words 30000 -p 4

    glomo-spacy prepare 'wiki/*.txt' corpus --format sentences --max-words 30000 -p 4

    glomo-spacy prepare train-v1.1.json corpus --format squad --dev dev-v1.1.json --vectors glove.840B.300d.txt
    """
    settings: Dict[Tuple[str, ...], Dict[str, Any]] = {
        ("documents", "sentences"): {
            "documents": documents,
            "max_words": max_words,
            "min_count": min_count,
            "dev_fraction": dev_fraction,
            "dev_documents": dev_documents,
            "shuffle": shuffle,
            "seed": seed,
            "shard_tokens": shard_tokens,
        },
        ("documents",): {"digits": digits, "casing": casing},
        ("sentences",): {
            "tokenized": tokenized,
            "unknown": unknown,
            "headings": headings,
            "max_tokens": max_tokens,
            "alphabet": alphabet,
        },
        ("squad",): {
            "max_vectors": max_vectors,
            "vector_dtype": vector_dtype,
            "answerable_only": answerable_only,
        },
    }
    sources: Dict[Tuple[str, ...], Dict[str, Any]] = {
        ("sentences", "squad"): {"dev": dev or None},
        ("documents", "sentences"): {"vocab": vocab, "n_process": n_process},
        ("squad",): {"vectors": vectors},
    }
    given = _choose_options(corpus_format, sources)
    chosen = _make_settings(corpus_format, _choose_options(corpus_format, settings), lang=lang, has_dev="dev" in given)
    prepare(text, output, settings=chosen, force=force, **given)


def prepare(
    text: Sequence[str],
    output: Path,
    *,
    settings: "Settings",
    dev: Sequence[str] = (),
    force: bool = False,
    **sources: Any,
) -> Dict[str, Any]:
    """Prepare a corpus with a progress bar, and print a table of what was made.

    Arguments and errors are those of `corpora.prepare_corpus`; for `SentenceSettings` of `corpora.prepare_sentences`;
    for `SquadSettings` of `corpora.prepare_squad`. This calls them; `force` is their `overwrite`.
    RETURNS (Dict[str, Any]): What stands in `corpus.json`.
    """
    from tqdm import tqdm

    from ..corpora import prepare_corpus, prepare_sentences, prepare_squad
    from ..corpora.sentence_settings import SentenceSettings
    from ..corpora.squad_prepare import SquadSettings

    started = time.perf_counter()
    is_squad = isinstance(settings, SquadSettings)
    with tqdm(unit="question" if is_squad else "B", unit_scale=True, desc="Tokenise", delay=0.5) as bar:
        common: Dict[str, Any] = {"overwrite": force, "start": bar.reset, "progress": bar.update, **sources}
        if isinstance(settings, SquadSettings):
            record = prepare_squad(text, output, settings=settings, dev=dev, **common)
        elif isinstance(settings, SentenceSettings):
            record = prepare_sentences(text, output, settings=settings, dev=dev, **common)
        else:
            record = prepare_corpus(text, output, settings=settings, **common)
    print_table = print_squad_table if is_squad else _print_table
    print_table(record, output=output, seconds=time.perf_counter() - started)
    return record


def _choose_options(corpus_format: str, options: Mapping[Tuple[str, ...], Mapping[str, Any]]) -> Dict[str, Any]:
    """The options that were given, None standing for one that was not.

    RAISES: G908 for an unknown format; G018 if an option of other formats was given.
    """
    if corpus_format not in FORMATS:
        expected = f"one of {', '.join(FORMATS)}"
        raise ValueError(Errors.G908.format(name="--format", expected=expected, value=corpus_format))
    given = {}
    for belongs, values in options.items():
        for name, value in values.items():
            if value is not None:
                if corpus_format not in belongs:
                    option, formats = _as_typed(name), " or ".join(belongs)
                    raise ValueError(Errors.G018.format(option=option, belongs=formats, format=corpus_format))
                given[name] = value
    return given


def _make_settings(corpus_format: str, values: Dict[str, Any], *, lang: str, has_dev: bool) -> "Settings":
    """The settings of a format.

    RAISES: G019 if held-out text was given and a share was asked for; G908 for values out of range.
    """
    from ..corpora.raw_text import CorpusSettings
    from ..corpora.sentence_settings import SentenceSettings
    from ..corpora.squad_prepare import SquadSettings

    for name in ("dev_fraction", "dev_documents"):
        if has_dev and name in values:
            raise ValueError(Errors.G019.format(option=_as_typed(name)))
    if "max_words" in values:
        values["max_words"] = values["max_words"] or None  # 0 keeps all
    make: Any = {"documents": CorpusSettings, "sentences": SentenceSettings, "squad": SquadSettings}[corpus_format]
    settings: Settings = make(lang=lang, **values)
    return settings


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
