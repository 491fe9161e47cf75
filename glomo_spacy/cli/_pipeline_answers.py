"""The answers of a pipeline to all questions of a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Tuple

from ..errors import Errors

if TYPE_CHECKING:
    from ..corpora.squad_file import SquadData

_FACTORY = "extractive_qa"


def predict_answers(pipeline: str, data: "SquadData", *, batch_size: Optional[int] = None) -> Dict[str, str]:
    """Answer every question; none is dropped, however long its context is.

    pipeline (str): Directory or name of a pipeline with `extractive_qa`.
    data (SquadData): Questions and contexts.
    batch_size (Optional[int]): Questions at a time. None: as the pipeline says.
    RETURNS (Dict[str, str]): The best answer by question id, a copy of a part of the context; empty where the pipeline
        gives none.
    RAISES: ValueError G088 if there is no such pipeline; G089 if none of its components answers questions.
    """
    import spacy
    from tqdm import tqdm

    if not Path(pipeline).is_dir() and not spacy.util.is_package(pipeline):
        raise ValueError(Errors.G088.format(path=pipeline))
    nlp = spacy.load(pipeline)
    names = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == _FACTORY]
    if not names:
        raise ValueError(Errors.G089.format(path=pipeline, found=", ".join(nlp.pipe_names) or "no component"))
    spans_key = getattr(nlp.get_pipe(names[-1]), "spans_key", "answers")
    n_questions = sum(1 for _ in data.questions)
    answered = nlp.pipe(_ask(nlp, data), as_tuples=True, batch_size=batch_size)
    answers = {}
    for doc, name in tqdm(answered, total=n_questions, desc="Answer", unit="question", delay=0.5):
        spans = doc.spans.get(spans_key)
        answers[name] = spans[0].text if spans else ""
    return answers


def _ask(nlp: Any, data: "SquadData") -> Iterator[Tuple[Any, str]]:
    """A Doc per question, and the question's id. A context is tokenised once."""
    for paragraph in data.paragraphs:
        context = nlp.make_doc(paragraph.context)
        for question in paragraph.questions:
            doc = context.copy()
            doc._.question = question.text
            yield doc, question.id
