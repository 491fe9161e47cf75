"""What a reader in a pipeline did to answer a question: its scores of a passage, and how it used its graphs."""

import torch

from ..models.qa import ReaderExplanation
from .qa import AnswerModel, reader_network, text_features
from .qa_batches import DistinctTexts, Passage
from .qa_network import ReaderInputs


def explain_passage(model: AnswerModel, passage: Passage) -> ReaderExplanation:
    """Read one passage and keep what speaks for the answer.

    model (AnswerModel): Of `ExtractiveQA.v1`. Graphs inside its tok2vec are not shown.
    passage (Passage): A question and what is read of its context.
    RETURNS (ReaderExplanation): A batch of one.
    RAISES: ValueError G120 if there are no weights.
    """
    network = reader_network(model).network
    texts = DistinctTexts([passage])
    rows, _ = text_features(model, texts.docs, is_train=False)
    inputs = ReaderInputs(model, texts, rows)
    context, question = inputs.side(texts.contexts), inputs.side(texts.questions)
    with torch.no_grad():
        explained: ReaderExplanation = network.explain(context, question, torch.zeros(1, dtype=torch.int64))
    return explained
