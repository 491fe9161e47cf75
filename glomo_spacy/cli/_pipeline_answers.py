"""Answers of a pipeline to all questions of a file, for `glomo-spacy evaluate-qa`."""

from typing import TYPE_CHECKING, Dict, Iterator, Optional

from ..errors import Errors

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

    from ..corpora.squad_file import SquadData


def predict_answers(pipeline: str, data: "SquadData", *, batch_size: Optional[int] = None) -> Dict[str, str]:
    """Answer all questions; a progress bar on standard error shows the way.

    pipeline (str): Directory or name of a pipeline with `extractive_qa`.
    data (SquadData): Questions and contexts.
    batch_size (Optional[int]): Questions at a time. None: as the pipeline says.
    RETURNS (Dict[str, str]): By id, the characters of the context that the best answer has, empty where there is none.
    RAISES: ValueError G099 for a pipeline without `extractive_qa`; FileNotFoundError G125 if there is none.
    """
    from tqdm import tqdm

    from .ask import load_pipeline

    nlp = load_pipeline(pipeline)
    check_pipeline(nlp)
    names = [question.id for question in data.questions]
    docs = nlp.pipe(_docs(nlp, data), batch_size=batch_size)
    bar = tqdm(docs, total=len(names), unit="questions", desc="Answer", delay=0.5, disable=None)
    return {name: _best_text(doc) for name, doc in zip(names, bar)}


def check_pipeline(nlp: "Language") -> None:
    """RAISES: ValueError G099 for a pipeline without `extractive_qa`."""
    from ..pipeline import ExtractiveQA

    if not any(isinstance(component, ExtractiveQA) for _, component in nlp.pipeline):
        raise ValueError(Errors.G099.format(components=", ".join(nlp.pipe_names) or "none"))


def _docs(nlp: "Language", data: "SquadData") -> "Iterator[Doc]":
    """Each context tokenised once, copied for each of its questions."""
    for paragraph in data.paragraphs:
        context = nlp.make_doc(paragraph.context)
        for question in paragraph.questions:
            doc = context.copy()
            doc._.question = question.text
            yield doc


def _best_text(doc: "Doc") -> str:
    answers = doc.spans["answers"]
    return answers[0].text if len(answers) else ""
