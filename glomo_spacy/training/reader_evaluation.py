"""Answers of a reader to all questions of a split, and their score by the official definition.

Nothing is left out: long contexts are read in windows, and a question without an answer counts as wrong.
"""

import math
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..corpora.squad_alignment import answer_text, windows
from ..corpora.squad_corpus import NO_ANSWER, SquadSplit
from ..evaluation.squad_scorer import score
from ..models.qa import ReaderModel, best_spans
from ..models.qa.decoding import Span
from ..models.qa.windows import best_spans_of_windows
from .reader_batches import ReaderBatch, Window, make_batch
from .reader_inputs import ReaderInputs

Part = Tuple[int, Tensor, Tensor]  # where a window begins, its scores of starts and of ends


@dataclass(frozen=True)
class Reading:
    """How a split is read.

    max_context (int): Tokens of a window; a context up to that length is read at once.
    stride (int): Tokens from one window's begin to the next one's.
    batch_tokens (int): Tokens of contexts per batch, padded, a context counted for each of its questions.
    """

    max_context: int
    stride: int
    batch_tokens: int


@dataclass
class Answers:
    """What a reader made of some questions.

    texts (Dict[str, str]): The best answer to each, by the data set's name of the question.
    losses (Dict[str, float]): Nats for the answer to train on, start and end added, in the window where it is most
        central; without questions whose answer was not found.
    """

    texts: Dict[str, str]
    losses: Dict[str, float]


def predict(
    model: ReaderModel, inputs: ReaderInputs, split: SquadSplit, *, reading: Reading, device: str = "cpu"
) -> Dict[str, str]:
    """Answer every question of a split.

    model (ReaderModel), inputs (ReaderInputs): On `device`, in evaluation mode.
    split (SquadSplit): The questions.
    reading (Reading): How; the answers do not depend on the size of batches.
    device (str): torch device.
    RETURNS (Dict[str, str]): The text of the best answer by question id, as the official script takes them.
    """
    everything = range(split.n_questions)
    return answer(model, inputs, split, everything, reading=reading, device=torch.device(device)).texts


@torch.no_grad()
def answer(
    model: ReaderModel,
    inputs: ReaderInputs,
    split: SquadSplit,
    questions: Sequence[int],
    *,
    reading: Reading,
    device: torch.device,
) -> Answers:
    """As `predict`, of some questions, with their losses.

    questions (Sequence[int]): Their numbers in the split.
    """
    texts: Dict[int, str] = {}
    losses: Dict[int, float] = {}
    parts: Dict[int, List[Part]] = {}  # of questions on long contexts
    for passages, batch in _batches(split, questions, reading):
        moved = ReaderBatch(*(tensor.to(device) for tensor in batch))
        context, question = inputs.sides(moved.tokens, moved.contexts, moved.questions)
        logits = model(context, question, moved.owners, is_train=False)
        start_logits, end_logits = (rows.float().cpu() for rows in logits)
        mask = batch.contexts[batch.owners] >= 0
        spans = best_spans(start_logits, end_logits, mask, max_answer=model.config.max_answer)
        nats = _nats(start_logits, batch.starts) + _nats(end_logits, batch.ends)
        for row, passage in enumerate(passages):
            if batch.starts[row] != NO_ANSWER:
                losses[passage.question] = float(nats[row])
            if passage.is_whole:
                texts[passage.question] = _text(split, passage.question, spans[row])
            else:
                length = passage.window[2] - passage.window[1]
                part = (passage.window[1], start_logits[row, :length], end_logits[row, :length])
                parts.setdefault(passage.question, []).append(part)
    for index, found in parts.items():
        begins, starts, ends = zip(*found)
        best = best_spans_of_windows(starts, ends, begins, max_answer=model.config.max_answer)
        texts[index] = _text(split, index, best)
    return Answers(
        {split.ids[index]: text for index, text in texts.items()},
        {split.ids[index]: loss for index, loss in losses.items()},
    )


def measure(
    model: ReaderModel,
    inputs: ReaderInputs,
    split: SquadSplit,
    *,
    reading: Reading,
    max_questions: Optional[int],
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
) -> Dict[str, Any]:
    """Score a reader on held-out questions.

    max_questions (Optional[int]): Only so many, the same ones each time; None: all, as an official figure needs.
    rank, world_size (int): Each process answers its share; answers are put together.
    RETURNS (Dict[str, Any]): `loss` in nats per question, `exact_match` and `f1` in percent, `n_questions`.
    """
    chosen = some_questions(split, max_questions)
    own = answer(model, inputs, split, chosen[rank::world_size], reading=reading, device=device)
    every = [own]
    if world_size > 1:
        every = [own] * world_size
        torch.distributed.all_gather_object(every, own)
    texts = {name: text for part in every for name, text in part.texts.items()}
    losses = [loss for part in every for loss in part.losses.values()]
    gold = {split.ids[index]: split.gold[split.ids[index]] for index in chosen}
    measures = score(gold, texts)
    return {
        "loss": math.fsum(losses) / max(len(losses), 1),
        "exact_match": measures["exact_match"],
        "f1": measures["f1"],
        "n_questions": len(chosen),
    }


def some_questions(split: SquadSplit, limit: Optional[int]) -> List[int]:
    """All questions, or the first ones on randomly drawn contexts, always the same."""
    if limit is None or limit >= split.n_questions:
        return list(range(split.n_questions))
    rank_of = np.random.default_rng(0).permutation(split.n_contexts)  # (contexts,)
    chosen = np.argsort(rank_of[split.context_of], kind="stable")[:limit]
    return sorted(chosen.tolist())


class _Passage(NamedTuple):
    """What is read at once: a question and a context, or a window of one.

    question (int): Its number in the split.
    window (Window): The context, and which of its tokens are read.
    is_whole (bool): Whether these are all of them.
    span (Tuple[int, int]): First and last token of the answer, in the window; -1 if it counts in another one.
    """

    question: int
    window: Window
    is_whole: bool
    span: Tuple[int, int]


def _batches(
    split: SquadSplit, questions: Sequence[int], reading: Reading
) -> Iterator[Tuple[List[_Passage], ReaderBatch]]:
    """Passages, longest first, those on one window side by side, and their batch."""
    lengths, context_of, answers = split.context_lengths, split.context_of, split.answer_spans
    passages: List[_Passage] = []
    for index in questions:
        context = int(context_of[index])
        spans = windows(int(lengths[context]), size=reading.max_context, stride=reading.stride)
        chosen = _most_central(spans, answers[index].tolist())
        for place, (begin, end) in enumerate(spans):
            first, last = answers[index].tolist()
            span = (first - begin, last - begin) if place == chosen else (NO_ANSWER, NO_ANSWER)
            passages.append(_Passage(index, (context, begin, end), len(spans) == 1, span))
    passages.sort(key=lambda passage: (passage.window[1] - passage.window[2], passage.window, passage.question))
    at = 0
    while at < len(passages):
        _, begin, end = passages[at].window
        members = passages[at : at + max(reading.batch_tokens // (end - begin), 1)]
        at += len(members)
        starts, ends = np.asarray([member.span for member in members], dtype=np.int64).T
        places = [member.window for member in members], [member.question for member in members]
        yield members, make_batch(split, *places, starts, ends)


def _most_central(spans: Sequence[Tuple[int, int]], answer: Sequence[int]) -> Optional[int]:
    """The window in which an answer stands farthest from either end; None if it is whole in none, or was not found."""
    first, last = answer
    margins = [min(first - begin, end - 1 - last) for begin, end in spans]
    place = int(np.argmax(margins))
    return place if first != NO_ANSWER and margins[place] >= 0 else None


def _nats(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each row, 0 without a target. Shape: (rows,)."""
    return F.cross_entropy(logits.double(), targets, reduction="none", ignore_index=NO_ANSWER)


def _text(split: SquadSplit, index: int, spans: Sequence[Span]) -> str:
    """The characters of the first of some answers; a reader whose weights are damaged has none."""
    context = int(split.context_of[index])
    return answer_text(split.context_text(context), split.offsets(context), spans[0][:2]) if spans else ""
