"""`extractive_qa`: where in a text stands the answer to a question?

Source: Yang et al. 2018 (arXiv 1806.05662), section 4.1; Rajpurkar et al. 2016 for the task and its scores.
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example, validate_examples
from spacy.vocab import Vocab
from thinc.api import Optimizer, set_dropout_rate
from thinc.types import Floats2d
from thinc.util import get_array_module

from ..architectures.qa import AnswerModel, best_answers, reader_network, with_pretrained
from ..architectures.qa_batches import Passage, context_passages, training_passage
from ..errors import Errors
from .extensions import ANSWER_SCORE, ANSWERS, QUESTION, get_question

DEFAULTS: Dict[str, Any] = {
    "model": {"@architectures": "glomo_spacy.ExtractiveQA.v1"},
    "pretrained": None,
    "top_k": 1,
    "scorer": {"@scorers": "glomo_spacy.squad_scorer.v1"},
}
SCORE_WEIGHTS: Dict[str, Optional[float]] = {"answer_f1": 1.0, "answer_exact_match": 0.0}

Answer = Tuple[int, int, float]  # first token, the token after the last, score
Predicted = List[Optional[List[Answer]]]  # per Doc, best first; None for a Doc without a question
Scorer = Callable[..., Dict[str, Any]]


@Language.factory(
    "extractive_qa",
    requires=[f"doc._.{QUESTION}"],
    assigns=["doc.spans", f"span._.{ANSWER_SCORE}"],
    default_config=DEFAULTS,
    default_score_weights=SCORE_WEIGHTS,
)
def make_extractive_qa(
    nlp: Language, name: str, model: AnswerModel, pretrained: Optional[str], top_k: int, scorer: Optional[Scorer]
) -> "ExtractiveQA":
    """Build an `ExtractiveQA` component.

    model (Model[List[Passage], List[Floats2d]]): Of `glomo_spacy.ExtractiveQA.v1`. By default the packaged "qa_en_sm".
    pretrained (Optional[str]): Short for `model.pretrained`: a packaged name or a checkpoint directory. None: as the
        model says.
    top_k (int): Answers kept of each question, > 0.
    scorer (Optional[Callable]): `glomo_spacy.squad_scorer.v1`, exact match and F1.
    """
    if pretrained is not None:
        model = with_pretrained(model, pretrained)
    return ExtractiveQA(nlp.vocab, model, name, tokenize=nlp.make_doc, top_k=top_k, scorer=scorer)


class ExtractiveQA(TrainablePipe):
    """Sets `doc.spans["answers"]` of every Doc with a `doc._.question`, best first, and `span._.answer_score`.

    Other Docs are left alone. A context of up to 400 tokens is read at once, a longer one in windows of 400 that
    overlap by half, whose answers compete. Whitespace tokens are invisible, and no answer begins or ends with one. The
    question is tokenised as the pipeline tokenises texts; no component runs over it.

    vocab (Vocab): The pipeline's vocabulary.
    model, top_k, scorer: As for `make_extractive_qa`.
    tokenize (Callable[[str], Doc]): For questions.
    RAISES: ValueError G095 for a model that is not of `ExtractiveQA.v1`, G101 for a top_k below 1.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: AnswerModel,
        name: str = "extractive_qa",
        *,
        tokenize: Callable[[str], Doc],
        top_k: int = 1,
        scorer: Optional[Scorer] = None,
    ) -> None:
        reader_network(model)
        if top_k < 1:
            raise ValueError(Errors.G101.format(name="top_k", expected="a whole number above 0", value=top_k))
        super().__init__(vocab, model, name)
        self.top_k = top_k
        self.scorer = scorer
        self._tokenize = tokenize

    def predict(self, docs: Iterable[Doc], *, top_k: Optional[int] = None) -> Predicted:
        """Find the answers; the Docs stay as they are.

        docs (Iterable[Doc]): Questions about equal contexts share the reading of them.
        top_k (Optional[int]): Answers of each question at most. None: as the component says.
        RETURNS (List[Optional[List[Tuple[int, int, float]]]]): Per Doc its answers, best first: positions of the first
            token and after the last one, and the probability of such a start times that of such an end. Empty for a
            context without words, None for a Doc without question.
        RAISES: ValueError G120 if there are no weights.
        """
        docs = list(docs)
        questions = [get_question(doc) for doc in docs]
        pairs = [(doc, self._tokenize(question)) for doc, question in zip(docs, questions) if question is not None]
        asked = [context_passages(doc, question) for doc, question in pairs]
        found = iter(best_answers(self.model, asked, k=top_k or self.top_k))
        return [None if question is None else next(found) for question in questions]

    def set_annotations(self, docs: Iterable[Doc], scores: Predicted) -> None:
        """Set the answers of Docs with a question."""
        for doc, answers in zip(docs, scores):
            if answers is not None:
                spans = [Span(doc, start, end) for start, end, _ in answers]
                attributes = {"scores": [score for *_, score in answers]}
                doc.spans[ANSWERS] = SpanGroup(doc, name=ANSWERS, attrs=attributes, spans=spans)

    # --- Training ---

    def initialize(
        self, get_examples: Callable[[], Iterable[Example]], *, nlp: Optional[Language] = None, labels: Any = None
    ) -> None:
        """Make the reader over its tok2vec; one that came with weights keeps them.

        get_examples (Callable[[], Iterable[Example]]): As `glomo_spacy.squad.v1` gives them; the first few are used.
        RAISES: ValueError G097 if none of them has a question with an answer.
        """
        passages: List[Passage] = []
        for example in get_examples():
            trained = self._training_passage(example)
            passages += [] if trained is None else [trained[0]]
            if len(passages) == 10:
                break
        if not passages:
            raise ValueError(Errors.G097.format(name=self.name))
        self.model.initialize(X=passages)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Learn from questions with answers; examples without are passed over.

        examples (Iterable[Example]): Question in `predicted._.question`, answers in `reference.spans["answers"]`, of
            which the last one is learned, as published. A context of more than 400 tokens is cut around it.
        drop (float): Rate of dropout in the tok2vec; the reader has rates of its own.
        sgd (Optional[Optimizer]): Updates the weights. None: gradients are added up.
        losses (Optional[Dict[str, float]]): Gets the sum of cross-entropies of start and end, in nats.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "ExtractiveQA.update")
        trained = [found for found in map(self._training_passage, examples) if found is not None]
        if not trained:
            return losses
        passages, answers = zip(*trained)
        set_dropout_rate(self.model, drop)
        logits, backprop = self.model.begin_update(list(passages))
        loss, d_logits = span_loss(logits, answers)
        backprop(d_logits)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += loss
        return losses

    def get_loss(self, examples: Iterable[Example], scores: List[Floats2d]) -> Tuple[float, List[Floats2d]]:
        """Loss and gradient for the scores of `examples`, all of which have a question and an answer.

        scores (List[Floats2d]): Of the model, for the passages that `update` reads.
        """
        trained = [found for found in map(self._training_passage, examples) if found is not None]
        return span_loss(scores, [answer for _, answer in trained])

    def _training_passage(self, example: Example) -> Optional[Tuple[Passage, Tuple[int, int]]]:
        """What is read of an example and where the answer stands in it; None without question or answer."""
        question, answers = get_question(example.predicted), example.reference.spans.get(ANSWERS)
        if question is None or not answers:
            return None
        answer = answers[len(answers) - 1]
        return training_passage(
            example.predicted, self._tokenize(question), start=answer.start_char, end=answer.end_char
        )


def span_loss(logits: Sequence[Floats2d], answers: Sequence[Tuple[int, int]]) -> Tuple[float, List[Floats2d]]:
    """Cross-entropy of start and end, both added, mean over the questions.

    logits (Sequence[Floats2d]): Shape of each: (2, seen).
    answers (Sequence[Tuple[int, int]]): First and last token of each answer, counted in what was seen.
    RETURNS (Tuple[float, List[Floats2d]]): The loss, in nats, and its gradient.
    """
    loss, gradients = 0.0, []
    for scores, places in zip(logits, answers):
        xp: Any = get_array_module(scores)
        odds = xp.exp(scores - scores.max(axis=1, keepdims=True))  # type: ignore[call-arg]  # as numpy has it
        shares = odds / odds.sum(axis=1, keepdims=True)  # (2, seen)
        loss -= float(xp.log(xp.maximum(shares[[0, 1], places], 1e-30)).sum())
        shares[[0, 1], places] -= 1.0
        gradients.append(shares / len(logits))
    return loss / max(len(logits), 1), gradients


# --- Asking -----------------------------------------------------------------------------------------------------------


def question_docs(nlp: Language, pairs: Iterable[Tuple[str, str]]) -> Iterator[Doc]:
    """Docs to be answered: `nlp.pipe(question_docs(nlp, pairs))`, with as many processes as wanted.

    nlp (Language): Its tokeniser makes the contexts.
    pairs (Iterable[Tuple[str, str]]): Questions with their contexts. Those of one context share its reading if they
        stand side by side.
    YIELDS (Doc): The context with `doc._.question`.
    RAISES: ValueError G090 for an empty question.
    """
    for question, context in pairs:
        doc = nlp.make_doc(context)
        doc._.question = question
        yield doc


def ask(nlp: Language, context: Union[str, Doc], question: str, k: int = 1) -> List[Tuple[Span, float]]:
    """Ask a question about a text.

    nlp (Language): A pipeline with `extractive_qa`. Components before it run too.
    context (Union[str, Doc]): The text.
    question (str): The question.
    k (int): Answers at most.
    RETURNS (List[Tuple[Span, float]]): Spans of the text with their scores, 0-1, best first.
    RAISES: ValueError G090 for an empty question, G098 for a context without words, G099 for a pipeline without
        `extractive_qa`, G120 if it has no weights.
    """
    doc = nlp.make_doc(context) if isinstance(context, str) else context.copy()
    if all(token.is_space for token in doc):
        raise ValueError(Errors.G098)
    doc._.question = question
    for _, component in nlp.pipeline:
        if isinstance(component, ExtractiveQA):
            (answers,) = component.predict([doc], top_k=k)
            return [(doc[start:end], score) for start, end, score in answers or ()]
        doc = component(doc)
    raise ValueError(Errors.G099.format(components=", ".join(nlp.pipe_names) or "none"))
