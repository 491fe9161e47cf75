"""`glomo-spacy visualize`: text to a page that shows which words relate to which. Also `glomo_spacy.visualize`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Union

from ..errors import Errors
from ._app import Arg, Opt

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

PRETRAINED = "glomo_en_sm"
TITLE = "Relational graphs"

_TEXT_SUFFIXES = (".txt", ".text", ".md")


def visualize_cli(
    text: str = Arg(..., help="A sentence, the path of a text file, or - for standard input"),
    output: Path = Opt(Path("graph.html"), "--output", "-o", help="Page to write"),
    pretrained: str = Opt(PRETRAINED, "--pretrained", help="Packaged name or checkpoint directory"),
    pipeline: Optional[str] = Opt(
        None, "--pipeline", "-p", help="Saved or installed spaCy pipeline with glomo_graph, in place of --pretrained"
    ),
    lang: Optional[str] = Opt(None, "--lang", "-l", help="Language of the tokeniser. Default: the checkpoint's"),
    min_weight: Optional[float] = Opt(
        None,
        "--min-weight",
        "-w",
        help="Draw relations from this weight on, 0.01-1. Default: for a calm picture",
    ),
    top_k: int = Opt(2, "--top-k", "-k", help="Draw so many sources per word at first, the strongest; 0 draws all"),
    title: str = Opt(TITLE, "--title", help="Heading of the page"),
) -> None:
    """
    Write a page that shows which words relate to which. Paragraphs of a file (separated by blank lines) become texts
    of which the page shows one at a time. The page needs no network. Example:

    glomo-spacy visualize "Marie Curie won two Nobel prizes because she discovered radium." -o graph.html
    """
    texts = read_texts(text)
    nlp = _saved_pipeline(pipeline) if pipeline else None
    page = visualize(
        texts,
        nlp=nlp,
        path=output,
        pretrained=pretrained,
        lang=lang,
        min_weight=min_weight,
        top_k=top_k or None,
        title=title,
    )
    number = "1 text" if len(texts) == 1 else f"{len(texts):,} texts"
    print(f"✔ {output}: {number}, {len(page.encode('utf-8')) / 1000:,.0f} kB. Open it in any browser.")


def visualize(
    doc_or_text: "Union[Doc, str, Sequence[Union[Doc, str]]]",
    *,
    nlp: "Optional[Language]" = None,
    path: Union[str, Path, None] = None,
    pretrained: str = PRETRAINED,
    lang: Optional[str] = None,
    min_weight: Optional[float] = None,
    top_k: Optional[int] = 2,
    title: str = TITLE,
) -> str:
    """A self-contained page that shows which words relate to which: arcs, heat maps, lists.

    doc_or_text (Union[Doc, str, Sequence[Union[Doc, str]]]): A Doc that ran through `glomo_graph` (with `keep = "all"`
        the page shows each direction, layer and head, else the mixed graph alone), a text, or several of either.
    nlp (Optional[Language]): Pipeline with `glomo_graph` for texts. None: a blank one with `pretrained`.
    path (Union[str, Path, None]): Write the page there too. Folders are made, an earlier file is replaced.
    pretrained (str): Packaged name or checkpoint directory, for texts without `nlp`.
    lang (Optional[str]): Language of the tokeniser, for texts without `nlp`. None: the checkpoint's.
    min_weight (Optional[float]): Draw relations from this weight on at first; the page has a slider. 0.01-1. None: as
        many as make a calm picture.
    top_k (Optional[int]): Draw so many sources per word at first, the strongest. >= 1. None: all.
    title (str): Heading of the page.
    RETURNS (str): The page, HTML.
    RAISES: ValueError G035 without any text, G037 for a Doc without graph, G034 or G038 for a `min_weight` or `top_k`
        out of range, G120 without weights; OSError G900 if the disk is full.
    """
    from ..visual import WordGraphs, graph_names, render_page

    docs = _as_docs(doc_or_text, nlp=nlp, pretrained=pretrained, lang=lang)
    graphs = [_graph_of(doc) for doc in docs]
    texts = [
        WordGraphs.from_relational([token.text for token in doc], graph, name=_one_line(doc.text))
        for doc, graph in zip(docs, graphs)
    ]
    page = render_page(
        texts,
        names=graph_names(graphs[0]),
        title=title,
        min_weight=min_weight,
        top_k=top_k,
        lang=docs[0].lang_ or "en",
    )
    if path is not None:
        _write(page, Path(path))
    return page


def graph_pipeline(*, pretrained: str = PRETRAINED, lang: Optional[str] = None) -> "Language":
    """A blank pipeline whose `glomo_graph` keeps every direction, layer and head.

    pretrained (str): Packaged name or checkpoint directory.
    lang (Optional[str]): Language of the tokeniser. None: that of the checkpoint.
    RETURNS (Language): Tokeniser and `glomo_graph`.
    RAISES: G122 (FileNotFoundError) if there is no such checkpoint.
    """
    import spacy

    nlp = spacy.blank(lang or language_of(pretrained))
    model = {"@architectures": "glomo_spacy.GlomoGraph.v1", "pretrained": pretrained}
    nlp.add_pipe("glomo_graph", config={"model": model, "keep": "all", "top_k": None})
    return nlp


def language_of(pretrained: str) -> str:
    """The language whose tokeniser made the words that a checkpoint was trained on; English if it does not say.

    RAISES: G122 (FileNotFoundError) if there is no such checkpoint.
    """
    from confection import Config

    from ..architectures.pretrained import find_pretrained

    config = find_pretrained(pretrained) / "config.cfg"
    return str(Config().from_disk(config).get("indexer", {}).get("lang", "en")) if config.is_file() else "en"


def read_texts(text: str) -> List[str]:
    """The texts a command line names.

    text (str): "-" for standard input, the path of a file, or a text itself.
    RETURNS (List[str]): Paragraphs of a file or of standard input; a text itself stays one.
    RAISES: G006 (ValueError) for bytes that are not UTF-8; G035 (ValueError) if there is no text; G036
        (FileNotFoundError) for what looks like the path of a text file, but is none.
    """
    is_named = text == "-" or _is_file(text)
    whole = read_text(text)
    found = _paragraphs(whole) if is_named else [whole] if whole.strip() else []
    if not found:
        raise ValueError(Errors.G035.format(path="The text" if not text.strip() else text))
    return found


def read_text(text: str) -> str:
    """The text a command line names, as it stands; it may be empty.

    text (str): "-" for standard input, the path of a file, or a text itself.
    RAISES: G006 (ValueError) for bytes that are not UTF-8; G036 (FileNotFoundError) for what looks like the path of a
        text file, but is none.
    """
    if text == "-":
        return _decode(sys.stdin.buffer.read(), source="standard input")
    if _is_file(text):
        return _decode(Path(text).read_bytes(), source=text)
    if text.lower().endswith(_TEXT_SUFFIXES) and not any(letter.isspace() for letter in text):
        raise FileNotFoundError(Errors.G036.format(path=text))
    return text


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a path, or with a zero byte: a text
        return False


def _decode(data: bytes, *, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(Errors.G006.format(path=source, reason=error.reason, offset=error.start)) from None


def _paragraphs(text: str) -> List[str]:
    """Runs of lines without a blank one between them, each on one line."""
    paragraphs: List[List[str]] = [[]]
    for line in text.splitlines():
        if line.strip():
            paragraphs[-1].append(line.strip())
        elif paragraphs[-1]:
            paragraphs.append([])
    return [" ".join(paragraph) for paragraph in paragraphs if paragraph]


def _as_docs(doc_or_text: Any, *, nlp: "Optional[Language]", pretrained: str, lang: Optional[str]) -> "List[Doc]":
    from spacy.tokens import Doc

    given = [doc_or_text] if isinstance(doc_or_text, (str, Doc)) else list(doc_or_text)
    if not given:
        raise ValueError(Errors.G035.format(path="The input"))
    if nlp is None and any(isinstance(item, str) for item in given):
        nlp = graph_pipeline(pretrained=pretrained, lang=lang)
    make: Any = nlp
    return [item if isinstance(item, Doc) else make(item) for item in given]


def _graph_of(doc: "Doc") -> Any:
    from ..pipeline import extensions  # noqa: F401 (its getters read what is stored on a Doc)

    graph = doc._.glomo_graph
    if graph is None:
        raise ValueError(Errors.G037)
    return graph


def _saved_pipeline(name: str) -> "Language":
    import spacy

    return spacy.load(name)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _write(page: str, path: Path) -> None:
    from ..files import atomic_write

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, text=True) as file:
        file.write(page)
