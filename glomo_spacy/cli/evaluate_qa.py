"""`glomo-spacy evaluate-qa`: exact match and F1 of answers, of a file of predictions or of a pipeline."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from ..errors import Errors
from ._app import Arg, Opt

if TYPE_CHECKING:
    from ..corpora.squad_file import SquadData


def evaluate_qa_cli(
    pipeline: Optional[str] = Arg(
        None, help="Directory or name of a pipeline with extractive_qa; or leave it out and give --predictions"
    ),
    gold: Path = Opt(..., "--gold", "-g", help="Questions and answers in the format of SQuAD (.json, .json.gz)"),
    predictions: Optional[Path] = Opt(
        None, "--predictions", help="Answer texts by question id (.json, .json.gz), to be scored as they are"
    ),
    output: Optional[Path] = Opt(None, "--output", "-o", help="Write the pipeline's answers here, in the same format"),
    batch_size: Optional[int] = Opt(None, "--batch-size", min=1, help="Questions at a time, for a pipeline"),
    limit: int = Opt(0, "--limit", min=0, help="Only so many questions from the beginning; 0 for all"),
    answerable_only: bool = Opt(False, "--answerable-only", help="Leave out questions without an answer (SQuAD 2.0)"),
    as_json: bool = Opt(False, "--json", help="Print the numbers as JSON"),
) -> None:
    """
    Score answers to questions, as the official script of SQuAD 1.1 does: exact match and F1 in percent, over all
    questions, those without a prediction included. Examples:

    glomo-spacy evaluate-qa --predictions predictions.json --gold dev-v1.1.json

    glomo-spacy evaluate-qa my_pipeline --gold dev-v1.1.json --output predictions.json
    """
    if (pipeline is None) == (predictions is None):
        found = "both" if pipeline is not None else "neither"
        raise ValueError(Errors.G078.format(found=found))
    data = _read_gold(gold, limit=limit, answerable_only=answerable_only)
    if predictions is not None:
        for option, value in (("--output", output), ("--batch-size", batch_size)):
            if value is not None:
                raise ValueError(Errors.G079.format(option=option))
        measures = evaluate_predictions(data, read_predictions(predictions))
    else:
        measures = evaluate_pipeline(data, str(pipeline), output=output, batch_size=batch_size)
    print(json.dumps(measures) if as_json else _table(measures))


def evaluate_predictions(data: "SquadData", predictions: Mapping[str, str]) -> Dict[str, Any]:
    """Score predictions.

    data (SquadData): Questions and their listed answers.
    predictions (Mapping[str, str]): One answer by question id.
    RETURNS (Dict[str, Any]): "exact_match" and "f1" in percent, "total" questions.
    """
    from ..evaluation.squad_scorer import score

    return score(data.answers, predictions)


def evaluate_pipeline(
    data: "SquadData", pipeline: str, *, output: Optional[Path] = None, batch_size: Optional[int] = None
) -> Dict[str, Any]:
    """Answer all questions with a pipeline and score the answers.

    data (SquadData): Questions, contexts and listed answers.
    pipeline (str): Directory or name of a pipeline with `extractive_qa`.
    output (Optional[Path]): Write the answers here, as the official script reads them.
    batch_size (Optional[int]): Questions at a time. None: as the pipeline says.
    RETURNS (Dict[str, Any]): As `evaluate_predictions`.
    """
    from ..files import atomic_write
    from ._pipeline_answers import predict_answers

    predictions = predict_answers(pipeline, data, batch_size=batch_size)
    if output is not None:
        with atomic_write(output, text=True) as file:
            file.write(json.dumps(predictions, ensure_ascii=False) + "\n")
    return evaluate_predictions(data, predictions)


def read_predictions(path: Path) -> Dict[str, str]:
    """Read a file of predictions in the official format.

    path (Path): A JSON object of answer texts by question id, possibly packed (.gz .xz .bz2).
    RETURNS (Dict[str, str]): The answers by id.
    RAISES: FileNotFoundError G004 if there is no such file; ValueError G072 if it is anything else.
    """
    from ..corpora.squad_file import read_json

    content = read_json(path, error=Errors.G072)
    if not isinstance(content, dict):
        raise ValueError(Errors.G072.format(path=path, reason=f"it is a {type(content).__name__}"))
    for name, answer in content.items():
        if not isinstance(answer, str):
            raise ValueError(Errors.G072.format(path=path, reason=f"the answer to {name!r} is {answer!r:.40}"))
    return content


def _read_gold(path: Path, *, limit: int, answerable_only: bool) -> "SquadData":
    from ..corpora.squad_file import read_squad

    data = read_squad(path, answerable_only=answerable_only)
    return data.first(limit) if limit else data


def _table(measures: Dict[str, Any]) -> str:
    return (
        f"exact match  {measures['exact_match']:.4f} %\n"
        f"         F1  {measures['f1']:.4f} %\n"
        f"  questions  {measures['total']:,}"
    )
