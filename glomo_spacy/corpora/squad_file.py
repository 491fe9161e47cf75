"""Files in the format of SQuAD 1.1: read whole, checked whole, before any work starts.

Source: Rajpurkar et al. 2016; the format is that of the official `train-v1.1.json`: `data` > `paragraphs` > `context`
and `qas` > `id`, `question`, `answers` > `answer_start`, `text`.
"""

import json
import lzma
from dataclasses import dataclass, replace
from gzip import BadGzipFile
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, NoReturn, Optional, Set, Tuple

from ..errors import Errors
from ..files import PathLike
from .text_files import open_packed


class Answer(NamedTuple):
    """A listed answer.

    start (int): Where it begins in the context, in characters.
    text (str): Its text, a copy of that part of the context.
    """

    start: int
    text: str


class Question(NamedTuple):
    """A question and what was answered to it.

    id (str): The data set's own name for it, by which predictions are scored.
    text (str): The question.
    answers (Tuple[Answer, ...]): At least one.
    """

    id: str
    text: str
    answers: Tuple[Answer, ...]


class Paragraph(NamedTuple):
    """A context and the questions about it.

    title (str): Title of the article it stands in.
    context (str): The text that holds the answers.
    questions (Tuple[Question, ...]): In the order of the file.
    """

    title: str
    context: str
    questions: Tuple[Question, ...]


@dataclass(frozen=True)
class SquadData:
    """What a file holds.

    path (Path): The file.
    paragraphs (List[Paragraph]): Those that have questions, in the order of the file.
    n_moved (int): Answers that did not stand where `answer_start` said, but elsewhere in their context.
    n_unanswerable (int): Questions left out because they have no answer.
    """

    path: Path
    paragraphs: List[Paragraph]
    n_moved: int = 0
    n_unanswerable: int = 0

    @property
    def n_questions(self) -> int:
        """Number of questions."""
        return sum(len(paragraph.questions) for paragraph in self.paragraphs)

    @property
    def questions(self) -> Iterator[Question]:
        """All questions, in the order of the file."""
        return (question for paragraph in self.paragraphs for question in paragraph.questions)

    @property
    def answers(self) -> Dict[str, List[str]]:
        """The listed answers by question id, as the scorer takes them."""
        return {question.id: [answer.text for answer in question.answers] for question in self.questions}

    def first(self, limit: int) -> "SquadData":
        """The same with the first so many questions only."""
        paragraphs, n_left = [], limit
        for paragraph in self.paragraphs:
            questions = paragraph.questions[:n_left]
            n_left -= len(questions)
            if questions:
                paragraphs.append(paragraph._replace(questions=questions))
        return replace(self, paragraphs=paragraphs)


def read_squad(path: PathLike, *, answerable_only: bool = False) -> SquadData:
    """Read a file in the format of SQuAD.

    path (PathLike): `.json`, possibly packed (.gz .xz .bz2).
    answerable_only (bool): Leave out questions without an answer, of which SQuAD 2.0 has many, and count them.
    RETURNS (SquadData): Every paragraph with a question. An answer that is not where `answer_start` says is taken from
        where its text stands nearest, and counted.
    RAISES: FileNotFoundError G004 if there is no such file; ValueError G065 if it is no JSON of this kind; G066 where a
        part is missing or of another type; G067 for an id that stands there twice; G068 for an empty context, question
        or answer; G069 for a question without an answer; G070 for an answer that its context does not hold; G071 if
        there is no question at all.
    """
    content = read_json(path, error=Errors.G065)
    reader = _Reader(Path(path), answerable_only=answerable_only)
    paragraphs = [paragraph for paragraph in reader.paragraphs(content) if paragraph.questions]
    if not paragraphs:
        hint = " that has an answer" if reader.n_unanswerable else ""
        raise ValueError(Errors.G071.format(path=path, hint=hint))
    return SquadData(Path(path), paragraphs, n_moved=reader.n_moved, n_unanswerable=reader.n_unanswerable)


def read_json(path: PathLike, *, error: str) -> Any:
    """Parse a JSON file that may be packed.

    path (PathLike): The file.
    error (str): Message of the error if it is none; takes `path` and `reason`.
    RAISES: FileNotFoundError G004 if there is no such file; ValueError with `error`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(Errors.G004.format(pattern=str(path)))
    try:
        with open_packed(path) as stream:
            text = stream.read().decode("utf-8-sig")
        text.encode("utf8")
        return json.loads(text)
    except (ValueError, RecursionError, EOFError, lzma.LZMAError, BadGzipFile, OSError) as problem:
        raise ValueError(error.format(path=path, reason=problem)) from problem


class _Reader:
    """Check and take over one file. Arguments as for `read_squad`; counts what it repairs and leaves out."""

    def __init__(self, path: Path, *, answerable_only: bool) -> None:
        self.path = path
        self.answerable_only = answerable_only
        self.n_moved = 0
        self.n_unanswerable = 0
        self._ids: Set[str] = set()

    def paragraphs(self, content: Any) -> Iterator[Paragraph]:
        """Every paragraph, checked."""
        if not isinstance(content, dict) or "data" not in content:
            raise ValueError(Errors.G065.format(path=self.path, reason='it has no "data"'))
        for a, article in enumerate(self._list(content, "data", place="the file")):
            title = article.get("title", "") if isinstance(article, dict) else ""
            for p, paragraph in enumerate(self._list(article, "paragraphs", place=f"data[{a}]")):
                place = f"data[{a}].paragraphs[{p}]"
                context = self._text(paragraph, "context", place=place)
                entries = enumerate(self._list(paragraph, "qas", place=place))
                found = (self._question(entry, context, place=f"{place}.qas[{q}]") for q, entry in entries)
                yield Paragraph(str(title), context, tuple(question for question in found if question is not None))

    def _question(self, entry: Any, context: str, *, place: str) -> Optional[Question]:
        name = self._text(entry, "id", place=place)
        place = f"{place} (id {name!r})"
        if name in self._ids:
            raise ValueError(Errors.G067.format(path=self.path, id=name))
        self._ids.add(name)
        text = self._text(entry, "question", place=place)
        answers = self._list(entry, "answers", place=place)
        if not answers or entry.get("is_impossible"):
            if not self.answerable_only:
                raise ValueError(Errors.G069.format(path=self.path, id=name))
            self.n_unanswerable += 1
            return None
        return Question(name, text, tuple(self._answer(answer, context, id=name, place=place) for answer in answers))

    def _answer(self, entry: Any, context: str, *, id: str, place: str) -> Answer:
        text = self._text(entry, "text", place=f"an answer of {place}")
        start = entry.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool):
            self._refuse("answer_start of an answer", "a whole number", start, place=place)
        if start >= 0 and context.startswith(text, start):
            return Answer(start, text)
        places = _occurrences(context, text)
        if not places:
            raise ValueError(Errors.G070.format(path=self.path, text=text, id=id))
        self.n_moved += 1
        return Answer(min(places, key=lambda other: abs(other - start)), text)

    def _text(self, entry: Any, name: str, *, place: str) -> str:
        value = self._get(entry, name, place=place)
        if not isinstance(value, str):
            self._refuse(name, "text", value, place=place)
        try:
            value.encode("utf8")  # a lone half of a surrogate pair is valid JSON and no text
        except UnicodeEncodeError:
            self._refuse(name, "text", value, place=place)
        if not value.strip():
            raise ValueError(Errors.G068.format(path=self.path, part=name, place=place))
        return str(value)

    def _list(self, entry: Any, name: str, *, place: str) -> List[Any]:
        value = self._get(entry, name, place=place)
        if not isinstance(value, list):
            self._refuse(name, "a list", value, place=place)
        return list(value)

    def _get(self, entry: Any, name: str, *, place: str) -> Any:
        if not isinstance(entry, dict):
            raise ValueError(Errors.G066.format(path=self.path, place=place, expected="an object", found=_shown(entry)))
        return entry.get(name)

    def _refuse(self, name: str, expected: str, value: Any, *, place: str) -> NoReturn:
        place = f"{name} of {place}"
        raise ValueError(Errors.G066.format(path=self.path, place=place, expected=expected, found=_shown(value)))


def _occurrences(context: str, text: str) -> List[int]:
    """Every place where a text begins in a context."""
    places, place = [], context.find(text)
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    return places


def _shown(value: Any) -> str:
    """A value in an error, of bounded length."""
    if value is None:
        return "missing"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
