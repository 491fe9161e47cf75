"""`glomo-spacy surprisal`: how surprising each word of a text is, as a page or a table; and sentences compared."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple

import typer

from ..errors import Errors
from ._app import Arg, Opt
from .visualize import language_of, read_texts

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

    from ..visual import Passage, Reading

PRETRAINED = "mogrifier_en_sm"
COLUMNS = ("name", "word", "label", "sentence", "note")

_SUFFIXES = (".html", ".tsv")
_EXPECTED_UP_TO = 100  # words of a text; each asks for a reading of all before it
_SHOWN = 3  # most surprising words that the table names
_WIDEST = 50  # characters of a text in a table


def surprisal_cli(
    text: Optional[str] = Arg(
        None, help="A sentence, the path of a text file, or - for standard input. None: pairs of sentences"
    ),
    output: List[Path] = Opt([Path("surprisal.html")], "--output", "-o", help="Page (.html) or table (.tsv) to write"),
    pairs: Optional[Path] = Opt(
        None, "--pairs", help=f"Compare sentences of this file, tab-separated: {', '.join(COLUMNS)}. Default: a gallery"
    ),
    pretrained: str = Opt(PRETRAINED, "--pretrained", "-m", help="Packaged name or checkpoint directory"),
    pipeline: Optional[str] = Opt(
        None, "--pipeline", "-p", help="Saved or installed spaCy pipeline with mogrifier_lm, in place of --pretrained"
    ),
    lang: Optional[str] = Opt(None, "--lang", "-l", help="Language of the tokeniser. Default: the checkpoint's"),
    sentences: bool = Opt(
        True, "--sentences/--no-sentences", help="Let the model know where sentences end, by punctuation"
    ),
    expected: int = Opt(6, "--expected", "-n", help="Show so many words that were likelier in a word's place"),
) -> None:
    """
    Show how surprising each word of a text is to a language model, in bits, on a page that needs no network.

    Without text it compares pairs of sentences at the same word: garden paths and their unambiguous kin. Examples:

    glomo-spacy surprisal "The old man walked his green ideas." -o surprisal.html

    glomo-spacy surprisal story.txt -o story.html -o story.tsv
    """
    for path in output:
        if path.suffix not in _SUFFIXES:
            raise ValueError(Errors.G056.format(path=path, suffixes=" or ".join(_SUFFIXES)))
    given = read_texts(text) if text is not None else None
    groups = read_pairs(pairs) if given is None else [Group([("", each)]) for each in given]
    nlp = _saved_pipeline(pipeline) if pipeline else surprisal_pipeline(pretrained, lang=lang, sentences=sentences)
    passages = list(make_passages(groups, nlp, n_expected=expected))
    for path in output:
        write(passages, path, lang=nlp.lang or "en")
    print(_compared(passages) if given is None else _measured(passages))
    for path in output:
        typer.secho(f"✔ {path}", fg="green")


@dataclass(frozen=True)
class Group:
    """Texts that are shown together.

    texts (List[Tuple[str, str]]): What each is called beside the others, and itself.
    name, word, note (str): As `Passage`'s name, focus and note.
    """

    texts: List[Tuple[str, str]]
    name: str = ""
    word: str = ""
    note: str = ""


def surprisal_pipeline(
    pretrained: str = PRETRAINED, *, lang: Optional[str] = None, sentences: bool = True
) -> "Language":
    """A blank pipeline with `mogrifier_lm`.

    pretrained (str): Packaged name or checkpoint directory.
    lang (Optional[str]): Language of the tokeniser. None: that of the checkpoint.
    sentences (bool): Find sentences by punctuation first. Models that read sentences expect an end after each.
    RETURNS (Language): The pipeline.
    RAISES: G008 (ValueError) if spaCy has no such language; G122 (FileNotFoundError) if there is no such checkpoint.
    """
    from ..corpora.tokenizing import blank_pipeline

    of_checkpoint = language_of(pretrained)  # asked in any case: a missing one is an error now, not at the first text
    nlp = blank_pipeline(lang or of_checkpoint)
    if sentences:
        nlp.add_pipe("sentencizer")
    nlp.add_pipe("mogrifier_lm", config={"model": {"pretrained": pretrained}})
    return nlp


def read_pairs(path: Optional[Path] = None) -> List[Group]:
    """Sentences to compare. Lines of one name belong together; the first of them is compared with the last.

    path (Optional[Path]): Tab-separated, with the head `name word label sentence note`; the note may be left out. None:
        the gallery, written for this.
    RETURNS (List[Group]): In the order of the file.
    RAISES: G036 (FileNotFoundError) without such a file; G944 (ValueError) for a line that is not as wanted.
    """
    from ..visual.templates import asset

    if path is not None and not path.is_file():
        raise FileNotFoundError(Errors.G036.format(path=path))
    lines = (asset("garden_paths.tsv") if path is None else path.read_text(encoding="utf-8-sig")).splitlines()
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    groups: Dict[str, Group] = {}
    for number, row in enumerate(rows, start=2):
        if not all(row.get(column) for column in COLUMNS[:-1]):
            raise ValueError(Errors.G944.format(path=path, line=number, columns=", ".join(COLUMNS)))
        group = groups.setdefault(row["name"], Group([], row["name"], row["word"], row.get("note") or ""))
        group.texts.append((row["label"], row["sentence"]))
    if not groups:
        raise ValueError(Errors.G944.format(path=path, line=1, columns=", ".join(COLUMNS)))
    return list(groups.values())


def make_passages(groups: Sequence[Group], nlp: "Language", *, n_expected: int = 0) -> "Iterator[Passage]":
    """Let the model read.

    groups (Sequence[Group]): What is shown together.
    nlp (Language): Pipeline with `mogrifier_lm`.
    n_expected (int): Show so many words that were expected in each place; texts of more than 100 words show none.
    RAISES: G945 (ValueError) for a pipeline without `mogrifier_lm`; G942 (ValueError) if a text lacks its word; G120
        (ValueError) without weights.
    """
    from ..visual import Passage

    if not any(nlp.get_pipe_meta(name).factory == "mogrifier_lm" for name in nlp.pipe_names):
        raise ValueError(Errors.G945.format(components=", ".join(nlp.pipe_names) or "none"))
    for group in groups:
        readings = [make_reading(nlp(text), nlp, label=label, n_expected=n_expected) for label, text in group.texts]
        name = group.name or " ".join(group.texts[0][1].split())
        yield Passage(readings, name=name, focus=group.word, note=group.note)


def make_reading(doc: "Doc", nlp: "Language", *, label: str = "", n_expected: int = 0) -> "Reading":
    """What the page shows of a Doc that ran through `mogrifier_lm`; white space is left out.

    doc, label, n_expected: As for `make_passages`.
    nlp (Language): The pipeline it ran through.
    """
    from ..visual import Reading

    tokens = [token for token in doc if not token.is_space]
    place_of = {token.i: place for place, token in enumerate(tokens)}
    ends = {}
    for sentence in doc.sents if doc.has_annotation("SENT_START") else ():
        last = max((place_of[token.i] for token in sentence if token.i in place_of), default=None)
        if last is not None and sentence._.end_surprisal > 0:
            ends[last] = sentence._.end_surprisal
    expected = _expected(doc, nlp, n_expected) if n_expected > 0 and len(tokens) <= _EXPECTED_UP_TO else {}
    return Reading(
        words=[token.text for token in tokens],
        bits=[max(token._.surprisal, 0.0) for token in tokens],  # rounding may leave a certain word below 0
        spaces=[is_before_space(token) for token in tokens],
        unknown=[token._.is_lm_unknown for token in tokens],
        ends=ends,
        expected=[expected[token.i] for token in tokens] if expected else (),
        label=label,
    )


def is_before_space(token: Any) -> bool:
    """Whether white space follows a token, its own or a token of it."""
    rest = token.doc[token.i + 1 :]
    return bool(token.whitespace_) or bool(len(rest) and rest[0].is_space)


def _expected(doc: "Doc", nlp: "Language", n_words: int) -> Dict[int, List[Tuple[str, float]]]:
    """The likeliest words in the place of each token with their probabilities, by the token's number."""
    from ..architectures.mogrifier import mogrifier_network

    names = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == "mogrifier_lm"]
    component: Any = nlp.get_pipe(names[-1])
    network = mogrifier_network(component.model)
    reading = network.reading(doc)
    found = {}
    for place, (token, is_end) in enumerate(zip(reading.tokens.tolist(), reading.is_end.tolist())):
        if not is_end:
            likeliest = network.network.candidates(reading.words[:place], n_words)
            found[token] = [(word, float(2**log2)) for word, log2 in likeliest]
    return found


def write(passages: "Sequence[Passage]", path: Path, *, lang: str = "en") -> None:
    """Write a page (.html), or a table (.tsv) with a line for each word. Folders are made, an earlier file is replaced.

    lang (str): Language code of the words.
    """
    from ..files import atomic_write
    from ..visual import render_surprisal

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, text=True) as file:
        file.write(render_surprisal(passages, lang=lang) if path.suffix == ".html" else as_table(passages))


def as_table(passages: "Sequence[Passage]") -> str:
    """A line for each word: number and label of its text, its own number, itself, bits, whether it is unknown."""
    lines = ["text\tlabel\tplace\tword\tsurprisal\tunknown"]
    for number, passage in enumerate(passages, start=1):
        for reading in passage.readings:
            unknown = reading.unknown or [False] * len(reading.words)
            for place, (word, bits, is_unknown) in enumerate(zip(reading.words, reading.bits, unknown), start=1):
                lines.append(f"{number}\t{reading.label}\t{place}\t{word}\t{bits:.4f}\t{int(is_unknown)}")
    return "\n".join(lines) + "\n"


def _compared(passages: "Sequence[Passage]") -> str:
    """The same word in each pair, and how much more it surprises in the first sentence than in the last."""
    from wasabi import table

    rows = []
    for passage in passages:
        bits = passage.focus_bits
        first, last = (f"{each:.1f}" for each in (bits[0], bits[-1]))
        rows.append((passage.name[:_WIDEST], passage.focus, first, last, f"{bits[0] - bits[-1]:+.1f}"))
    header = ("Sentence", "Word", "First", "Last", "Difference")
    return str(table(rows, header=header, divider=True, max_col=_WIDEST, aligns=("l", "l", "r", "r", "r")))


def _measured(passages: "Sequence[Passage]") -> str:
    """Length, bits per word, perplexity, and the most surprising words of each text."""
    from wasabi import table

    rows = []
    for passage in passages:
        (reading,) = passage.readings
        n_words = len(reading.words)
        mean = reading.total / max(n_words, 1)
        strongest = sorted(zip(reading.bits, reading.words), key=lambda each: -each[0])[:_SHOWN]
        named = ", ".join(f"{word} {bits:.1f}" for bits, word in strongest)
        unknown = sum(map(bool, reading.unknown))
        rows.append((passage.name[:_WIDEST], n_words, unknown, f"{mean:.2f}", f"{2**mean:,.0f}", named))
    header = ("Text", "Words", "Unknown", "Bits per word", "Perplexity", "Most surprising")
    return str(table(rows, header=header, divider=True, max_col=_WIDEST, aligns=("l", "r", "r", "r", "r", "l")))


def _saved_pipeline(name: str) -> "Language":
    import spacy

    return spacy.load(name)
