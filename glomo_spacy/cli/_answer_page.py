"""What `glomo-spacy ask --html` shows: the windows the answers stand in, their scores, and the graphs behind them."""

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Sequence, Tuple

from .surprisal import is_before_space

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span

    from ..architectures.qa import AnswerModel
    from ..architectures.qa_batches import Passage
    from ..models.qa import GraphUse, ReaderConfig
    from ..visual import AnswerExplanation, AnswerGraph

_DIRECTIONS = ("Looks back", "Looks ahead")


def write_answer_page(nlp: "Language", doc: "Doc", answers: "Sequence[Tuple[Span, float]]", path: Path) -> None:
    """Write the page. Folders are made, an earlier file is replaced.

    nlp (Language): The pipeline that answered.
    doc (Doc): The context with its question.
    answers (Sequence[Tuple[Span, float]]): Spans of the context with scores, best first.
    """
    from ..files import atomic_write
    from ..visual import render_answer_page

    page = render_answer_page(explain_answers(nlp, doc, answers), lang=nlp.lang or "en")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, text=True) as file:
        file.write(page)


def explain_answers(nlp: "Language", doc: "Doc", answers: "Sequence[Tuple[Span, float]]") -> "List[AnswerExplanation]":
    """What speaks for the answers: each window that holds some of them, that of the best one first.

    nlp, doc, answers: As for `write_answer_page`.
    """
    from ..architectures.qa_batches import context_passages
    from ..pipeline import ExtractiveQA

    component = next(part for _, part in nlp.pipeline if isinstance(part, ExtractiveQA))
    passages = context_passages(doc, nlp.make_doc(doc._.question))
    by_window: Dict[int, List[Tuple[Span, float]]] = {}
    for span, score in answers:
        by_window.setdefault(_most_central(passages, span), []).append((span, score))
    n_tokens = int(sum(not token.is_space for token in doc)) if len(passages) > 1 else 0
    return [_explain(component.model, passages[window], own, n_tokens) for window, own in by_window.items()]


def _explain(
    model: "AnswerModel", passage: "Passage", answers: "Sequence[Tuple[Span, float]]", n_tokens: int
) -> "AnswerExplanation":
    """One window with its answers; n_tokens are those of the whole text if this is a part of it, else 0."""
    from ..architectures.qa import reader_network
    from ..architectures.qa_explanation import explain_passage
    from ..visual import Answer, AnswerExplanation

    found = explain_passage(model, passage)
    doc = passage.context
    place_of = {token: place for place, token in enumerate(passage.tokens.tolist())}
    tokens = [doc[token] for token in place_of]
    return AnswerExplanation(
        question=doc._.question,
        words=[token.text for token in tokens],
        answers=[Answer(place_of[span.start], place_of[span.end - 1] + 1, score) for span, score in answers],
        starts=found.start_logits[0].softmax(-1).tolist(),
        ends=found.end_logits[0].softmax(-1).tolist(),
        spaces=[is_before_space(token) for token in tokens],
        graphs=[] if found.context is None else _graphs(found.context),
        candidates=[] if found.context is None else _candidates(found.context, reader_network(model).config),
        name=answers[0][0].text if n_tokens else "",
        note=f"{len(tokens):,} words of {n_tokens:,}: a window of the text." if n_tokens else "",
    )


def _most_central(passages: "Sequence[Passage]", answer: "Span") -> int:
    """The window in which an answer stands most centrally."""

    def margin(index: int) -> int:
        tokens = passages[index].tokens
        return min(answer.start - int(tokens[0]), int(tokens[-1]) + 1 - answer.end)

    return max(range(len(passages)), key=margin)


def _graphs(use: "GraphUse") -> "List[AnswerGraph]":
    """The mixed graphs of both directions, or the uniform one."""
    from ..visual import AnswerGraph

    if use.weights is None:
        return [AnswerGraph("All words alike", use.graphs[0, 0, 0].numpy())]
    shares = use.weights[0].flatten(-2)  # (receiver, directions, mixes, candidates * heads)
    n_directions, n_mixes = shares.shape[1:3]
    return [
        AnswerGraph(
            f"{_DIRECTIONS[direction]} · mix {mix + 1}",
            use.graphs[0, direction, mix].numpy(),
            shares[:, direction, mix].numpy(),
        )
        for direction in range(n_directions)
        for mix in range(n_mixes)
    ]


def _candidates(use: "GraphUse", config: "ReaderConfig") -> List[str]:
    from ..visual import candidate_names

    if use.weights is None:
        return []
    has_products = len(use.names) > config.graph_layers
    return candidate_names(n_layers=config.graph_layers, n_heads=config.graph_heads, has_products=has_products)
