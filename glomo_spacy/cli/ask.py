"""`glomo-spacy ask`: the answer to a question from a text, and on a page what speaks for it."""

import gc
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Tuple

import typer

from ..errors import Errors
from ._app import Arg, Opt
from .visualize import language_of, read_text

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span

PRETRAINED = "qa_en_sm"
_SIDE = 60  # characters of context shown on each side


def ask_cli(
    question: str = Arg(..., help="What to find out"),
    text: str = Arg(..., help="Where to look: the path of a text file, a text itself, or - for standard input"),
    pipeline: Optional[str] = Opt(
        None, "--pipeline", "-p", help="Saved or installed spaCy pipeline with extractive_qa, in place of --pretrained"
    ),
    pretrained: str = Opt(PRETRAINED, "--pretrained", "-m", help="Packaged name or checkpoint directory of a reader"),
    top_k: int = Opt(1, "--top-k", "-k", help="Show so many answers, best first"),
    html: Optional[Path] = Opt(None, "--html", help="Write a page that shows the answers and what speaks for them"),
    lang: Optional[str] = Opt(None, "--lang", "-l", help="Language of the tokeniser. Default: the checkpoint's"),
    as_json: bool = Opt(False, "--json", help="Print JSON"),
) -> None:
    """
    Answer a question by a stretch of a text, which may be long. Example:

    glomo-spacy ask "Who discovered radium?" text.txt
    """
    context = read_context(text)
    with _collecting_later():
        nlp = load_pipeline(pipeline) if pipeline else qa_pipeline(pretrained, lang=lang)
    doc, answers = answer(nlp, context, question, top_k=top_k)
    if html is not None:
        from ._answer_page import write_answer_page

        write_answer_page(nlp, doc, answers, html)
    if as_json:
        print(json.dumps([_as_dict(span, score) for span, score in answers], indent=2, ensure_ascii=False))
        return
    for span, score in answers:
        typer.echo(_as_line(span, score))
    if html is not None:
        typer.secho(f"✔ {html}", fg="green")


def answer(nlp: "Language", context: str, question: str, *, top_k: int = 1) -> "Tuple[Doc, List[Tuple[Span, float]]]":
    """The context as a Doc with its question, and the best answers with their scores. Arguments as of the command.

    RAISES: ValueError G090, G098, G099, G120, as `glomo_spacy.ask`; G101 for a top_k below 1.
    """
    from ..pipeline import ask

    if top_k < 1:
        raise ValueError(Errors.G101.format(name="top_k", expected="a whole number above 0", value=top_k))
    nlp.max_length = max(nlp.max_length, len(context) + 1)  # it guards parsers, which need more memory than readers
    doc = nlp.make_doc(context)
    doc._.question = question
    return doc, ask(nlp, doc, question, top_k)


def qa_pipeline(pretrained: str = PRETRAINED, *, lang: Optional[str] = None) -> "Language":
    """A blank pipeline with `extractive_qa`.

    pretrained (str): Packaged name or checkpoint directory.
    lang (Optional[str]): Language of the tokeniser. None: that of the checkpoint.
    RAISES: FileNotFoundError G124 if the packaged reader is not in this installation, G122 without such a checkpoint.
    """
    from ..architectures.pretrained import packaged_names
    from ..corpora.tokenizing import blank_pipeline

    if pretrained == PRETRAINED and pretrained not in packaged_names() and not Path(pretrained).is_dir():
        raise FileNotFoundError(Errors.G124.format(name=pretrained))
    of_checkpoint = language_of(pretrained)
    nlp = blank_pipeline(lang or of_checkpoint)
    nlp.add_pipe("extractive_qa", config={"model": {"pretrained": pretrained}})
    return nlp


def load_pipeline(name: str) -> "Language":
    """A saved or installed pipeline.

    RAISES: FileNotFoundError G125 if there is none.
    """
    import spacy

    try:
        return spacy.load(name)
    except OSError as error:
        raise FileNotFoundError(Errors.G125.format(name=name, reason=str(error).split("\n")[0])) from None


def read_context(text: str) -> str:
    """The text to look in, as it stands.

    text (str): "-" for standard input, the path of a file, or a text itself.
    RAISES: ValueError G006 for bytes that are not UTF-8, G098 without words; FileNotFoundError G036 for what looks like
        the path of a text file, but is none.
    """
    found = read_text(text)
    if not found.strip():
        raise ValueError(Errors.G098)
    return found


@contextmanager
def _collecting_later() -> Iterator[None]:
    """Hold off the garbage collector: what libraries and models make stays, and looking through it is a tenth of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _as_dict(span: "Span", score: float) -> Dict[str, Any]:
    return {"answer": span.text, "score": score, "start": span.start_char, "end": span.end_char}


def _as_line(span: "Span", score: float) -> str:
    """Answer and score, and the answer in bold amid its neighbours."""
    text = span.doc.text
    before, after = text[: span.start_char].split(), text[span.end_char :].split()
    neighbours = [" ".join(_nearest(reversed(before))[::-1]), " ".join(_nearest(after))]
    answer = " ".join(span.text.split())
    amid = " ".join(filter(None, [neighbours[0], typer.style(answer, bold=True), neighbours[1]]))
    return f"{answer}  ({score:.2f})  {amid}"


def _nearest(words: Iterable[str]) -> List[str]:
    """So many words as fit beside an answer."""
    kept: List[str] = []
    for word in words:
        if sum(map(len, kept)) + len(kept) + len(word) > _SIDE:
            break
        kept.append(word)
    return kept
