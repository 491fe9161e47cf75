"""Questions in batches: of contexts of similar length, each context of a batch there once.

Source: the training loop of kimiyoung/glomo's reader: batches of 32 questions, each batch from one length bucket.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..corpora.squad_alignment import training_window
from ..corpora.squad_corpus import NO_ANSWER, SquadSplit
from .objectives import Batch, Batches

Ids = npt.NDArray[np.int64]
Window = Tuple[int, int, int]  # context, begin and end in its tokens

PADDING = -1


class ReaderBatch(NamedTuple):
    """Questions and the different contexts they are about. Texts stand one after the other, contexts first.

    tokens (Tensor): Type ids of all texts. Shape: (tokens,).
    contexts (Tensor): Where each token of a context stands in `tokens`, -1 at padding. Shape: (contexts, seq).
    questions (Tensor): The same of the questions. Shape: (questions, seq).
    owners (Tensor): The context of each question. Shape: (questions,).
    starts, ends (Tensor): First and last token of each answer, in its context. Shape: (questions,).
    """

    tokens: Tensor
    contexts: Tensor
    questions: Tensor
    owners: Tensor
    starts: Tensor
    ends: Tensor


@dataclass(frozen=True)
class BatchShape:
    """How questions become batches.

    batch_size (int): Questions per batch, over all processes together.
    buckets (Tuple[int, ...]): Ascending lengths of contexts that part the buckets, in tokens; the last bucket is open.
        None: batches of any lengths.
    questions_per_context (int): So many questions of one context, at most, are drawn together.
    """

    batch_size: int
    buckets: Tuple[int, ...]
    questions_per_context: int


class TrainingQuestions:
    """The questions that are trained on, each with the part of its context that is read.

    split (SquadSplit): The training part of a corpus. Questions whose answer was not found are left out.
    max_context (int): Tokens; of a longer context the window is read that has the answer in its middle.
    fraction (Optional[float]): Only this share of the questions, drawn at random; None: all.
    seed (int): Of that draw.
    """

    def __init__(self, split: SquadSplit, *, max_context: int, fraction: Optional[float] = None, seed: int = 0) -> None:
        self.split = split
        spans, context_of = split.answer_spans, split.context_of
        chosen = np.flatnonzero(spans[:, 0] != NO_ANSWER)
        if fraction is not None:
            n_kept = round(fraction * len(chosen))
            chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:n_kept])
        self.indices: Ids = chosen
        self.spans: Ids = spans[chosen]  # (questions, 2)
        self.contexts: Ids = context_of[chosen]
        whole = split.context_lengths[self.contexts]
        self.windows: Ids = np.stack([np.zeros_like(whole), whole], axis=1)  # (questions, 2)
        for place in np.flatnonzero(whole > max_context):
            first, last = self.spans[place].tolist()
            self.windows[place] = training_window(int(whole[place]), (first, last), size=max_context)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def lengths(self) -> Ids:
        """Tokens of the part that is read. Shape: (questions,)."""
        return self.windows[:, 1] - self.windows[:, 0]

    def batch(self, places: Ids) -> ReaderBatch:
        """Some of the questions, by their places among those that are trained on."""
        begins = self.windows[places, 0]
        windows = [(int(self.contexts[place]), *self.windows[place].tolist()) for place in places]
        starts, ends = (self.spans[places] - begins[:, None]).T
        return make_batch(self.split, windows, self.indices[places].tolist(), starts, ends)


class ReaderBatches(Batches):
    """An endless stream of batches; every epoch sees each question once, in another order.

    Where the questions of a bucket do not fill a batch, the rest goes with those of its neighbours; what does not even
    fill a batch then, less than one, waits for another epoch.

    questions (TrainingQuestions): What is trained on, at least a batch.
    shape (BatchShape): How they become batches.
    seed (int): Start of the random order.
    rank, world_size (int): Which share of each batch this process takes.
    """

    def __init__(
        self, questions: TrainingQuestions, shape: BatchShape, *, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        self._questions, self._shape, self._seed = questions, shape, seed
        self._rank, self._world_size = rank, world_size
        self._round, self._place = 0, 0
        self._plan = self._new_plan()

    def __next__(self) -> Batch:
        """As `ReaderBatch`."""
        if self._place == len(self._plan):
            self._round, self._place = self._round + 1, 0
            self._plan = self._new_plan()
        places = self._plan[self._place]
        self._place += 1
        share = len(places) // self._world_size
        return self._questions.batch(places[self._rank * share : (self._rank + 1) * share])

    @property
    def epoch(self) -> float:
        return self._round + self._place / len(self._plan)

    def state_dict(self) -> Dict[str, Any]:
        return {"round": self._round, "place": self._place}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self._round, self._place = state["round"], state["place"]
        self._plan = self._new_plan()

    def _new_plan(self) -> List[Ids]:
        """The batches of an epoch, which seed and number of the epoch decide alone."""
        rng = np.random.default_rng([self._seed, self._round])
        return plan_batches(self._questions.contexts, self._questions.lengths, self._shape, rng=rng)


def plan_batches(contexts: Ids, lengths: Ids, shape: BatchShape, *, rng: np.random.Generator) -> List[Ids]:
    """Put questions into batches at random.

    contexts (Ids): The context of each question. Shape: (questions,).
    lengths (Ids): Tokens read of it. Shape: (questions,).
    shape (BatchShape): How.
    rng (Generator): Gives the order.
    RETURNS (List[Ids]): Places of questions, `batch_size` in each batch.
    """
    order = _shuffled(contexts, shape.questions_per_context, rng)
    bucket = np.searchsorted(np.asarray(shape.buckets, dtype=np.int64), lengths[order])
    size, batches, rest = shape.batch_size, [], []
    for number in range(len(shape.buckets) + 1):
        members = order[bucket == number]
        n_full = len(members) // size * size
        batches += np.split(members[:n_full], n_full // size) if n_full else []
        rest.append(members[n_full:])
    left = rng.permutation(np.concatenate(rest))
    n_full = len(left) // size * size
    left = left[:n_full][np.argsort(lengths[left[:n_full]], kind="stable")]
    batches += np.split(left, n_full // size) if n_full else []
    return [batches[place] for place in rng.permutation(len(batches))]


def make_batch(
    split: SquadSplit, windows: Sequence[Window], questions: Sequence[int], starts: Ids, ends: Ids
) -> ReaderBatch:
    """Read questions and windows of their contexts; a window that several questions share is there once.

    split (SquadSplit): Where they are.
    windows (Sequence[Window]): Of each question.
    questions (Sequence[int]): Their numbers in the split.
    starts, ends (Ids): Answers, in the windows. Shape: (questions,).
    """
    places = {window: place for place, window in enumerate(dict.fromkeys(windows))}
    texts = [split.context(context)[begin:end] for context, begin, end in places]
    texts += [split.question_tokens(question) for question in questions]
    lengths = np.asarray([len(text) for text in texts])
    first = np.cumsum(lengths) - lengths
    n_contexts = len(places)
    return ReaderBatch(
        torch.from_numpy(np.concatenate(texts)),
        _places(first[:n_contexts], lengths[:n_contexts]),
        _places(first[n_contexts:], lengths[n_contexts:]),
        torch.tensor([places[window] for window in windows]),
        torch.from_numpy(np.ascontiguousarray(starts)),
        torch.from_numpy(np.ascontiguousarray(ends)),
    )


def _places(first: Ids, lengths: Ids) -> Tensor:
    """Places of tokens, text by text. Shape: (texts, longest)."""
    steps = np.arange(lengths.max())
    return torch.from_numpy(np.where(steps < lengths[:, None], first[:, None] + steps, PADDING))


def _shuffled(contexts: Ids, together: int, rng: np.random.Generator) -> Ids:
    """All questions in random order, at most `together` of a context side by side."""
    order = rng.permutation(len(contexts))
    if together == 1:
        return order
    order = order[np.argsort(contexts[order], kind="stable")]  # by context, shuffled within
    is_first = np.diff(contexts[order], prepend=-1) != 0
    run_start = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    group = np.cumsum((np.arange(len(order)) - run_start) % together == 0) - 1
    return order[np.argsort(rng.permutation(group[-1] + 1)[group], kind="stable")]
