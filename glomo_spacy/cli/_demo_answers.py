"""The part of `glomo-spacy demo` on questions: answers from a short text, as a table and as a page."""

from pathlib import Path

import typer

from .ask import answer, qa_pipeline

TEXT = (
    "Marie Curie was born in Warsaw in 1867. In Paris she studied physics, and in 1895 she married Pierre Curie, with "
    "whom she discovered radium and polonium three years later. In 1903 they shared the Nobel Prize in Physics with "
    "Henri Becquerel. During the First World War she built mobile X-ray units for field hospitals."
)
QUESTIONS = (
    "Where was Marie Curie born?",
    "What did she study in Paris?",
    "Who shared the Nobel Prize with the Curies?",
    "What did she build for hospitals?",
)


def show_answers(page: Path, *, pretrained: str) -> None:
    """Print answers to some questions about a text, and write a page on the first.

    page (Path): Where; its folder is made if it is not there.
    pretrained (str): Packaged name or checkpoint directory of a reader.
    RAISES: FileNotFoundError G122 or G124 without such a checkpoint; OSError G900 if the disk is full.
    """
    from ._answer_page import write_answer_page

    typer.secho("What a text says (extractive_qa)", bold=True)
    print(f"{TEXT}\n")
    nlp = qa_pipeline(pretrained)
    widest = max(map(len, QUESTIONS))
    for question in QUESTIONS:
        _, ((best, score), *_) = answer(nlp, TEXT, question)
        print(f"  {question:<{widest}}  {best.text}  ({score:.2f})")
    doc, answers = answer(nlp, TEXT, QUESTIONS[0], top_k=3)
    write_answer_page(nlp, doc, answers, page)
