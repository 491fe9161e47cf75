"""Lists of words through a language model: what each costs, its state, what may come next.

Lists of like length are read together. One that is longer than a window is read in several, with the state carried on.
"""

import math
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import Errors
from ...indexers import UNKNOWN, VocabularyIndexer
from .lstm import State
from .network import WordNetwork

BATCH_TOKENS = 2048  # places computed together at most
WINDOW = 256  # words of a row read at once, where a state is carried on

TokenLists = Sequence[Sequence[str]]
Ids = npt.NDArray[np.int64]
BEGIN, END, UNKNOWN_ID = (
    VocabularyIndexer.begin_sentence,
    VocabularyIndexer.end_sentence,
    VocabularyIndexer.unknown_id,
)


class Annotation(NamedTuple):
    """What a language model says of a list of words.

    scores (ndarray): log2-probabilities, the end of the sentence last; empty if not asked for. Shape: (tokens + 1,).
    states (ndarray): Outputs, each after its word; empty if not asked for. Shape: (tokens, width).
    is_unknown (ndarray): Which words the vocabulary lacks. Shape: (tokens,).
    """

    scores: npt.NDArray[np.float64]
    states: npt.NDArray[np.float32]
    is_unknown: npt.NDArray[np.bool_]


class Window(NamedTuple):
    """A part of some rows.

    numbers (List[int]): Which lists they are.
    begin (int): Place of the part's first word in each.
    mask (Tensor): True for real words. Shape: (rows, seq).
    outputs (Tensor): Shape: (rows, seq, width).
    """

    numbers: List[int]
    begin: int
    mask: Tensor
    outputs: Tensor


def annotate(
    model: WordNetwork, token_lists: TokenLists, *, has_scores: bool = True, has_states: bool = True
) -> List[Annotation]:
    """Read lists in evaluation mode and without gradient; arguments as for `LanguageModel.score`.

    has_scores, has_states (bool): What is wanted.
    RETURNS (List[Annotation]): One per list.
    """
    rows = [_ids(model, tokens) for tokens in token_lists]
    targets = [np.append(row, END) for row in rows]
    found = [
        Annotation(
            np.zeros(len(row) + 1 if has_scores else 0),
            np.zeros((len(row) if has_states else 0, model.width), dtype=np.float32),
            row == UNKNOWN_ID,
        )
        for row in rows
    ]
    with _evaluating(model):
        for window in _windows(model, rows, has_end=has_scores):
            if has_scores:
                _put_scores(model, window, targets, found)
            if has_states:
                _put_states(window, found)
        if has_scores:
            _add_spellings(model, token_lists, found)
    return found


def state_tensors(model: WordNetwork, token_lists: TokenLists, *, keep_graph: bool) -> List[Tensor]:
    """See `LanguageModel.state_tensors`."""
    rows = [_ids(model, tokens) for tokens in token_lists]
    parts: List[List[Tensor]] = [[] for _ in rows]
    with torch.set_grad_enabled(keep_graph):
        for window in _windows(model, rows, has_end=False):
            for row, number in enumerate(window.numbers):
                first = 0 if window.begin else 1  # what stands after the first `</S>` is no word's
                parts[number].append(window.outputs[row][window.mask[row]][first:])
    empty = model.embedding.weight.new_zeros(0, model.width)
    return [torch.cat([empty, *each]) for each in parts]


def candidates(model: WordNetwork, prefix_tokens: Sequence[str], n: int) -> List[Tuple[str, float]]:
    """See `LanguageModel.candidates`."""
    row = _ids(model, prefix_tokens)
    with _evaluating(model):
        *_, last = _windows(model, [row], has_end=True)
        chances = model.log_probabilities(last.outputs[0, -1:])[0].double() / math.log(2)  # (vocab,)
    chances[[BEGIN, UNKNOWN_ID]] = -math.inf
    best = chances.topk(min(max(n, 0), len(chances) - 2))
    words = _indexer(model).words
    return [(words[place], chance) for place, chance in zip(best.indices.tolist(), best.values.tolist())]


def plan_batches(lengths: Sequence[int], window: int) -> List[List[int]]:
    """Put rows of like length together.

    lengths (Sequence[int]): Words of each row, none 0.
    window (int): Words of a row that are read at once.
    RETURNS (List[List[int]]): Numbers of rows, longest first, such that a window has at most `BATCH_TOKENS` places.
    """
    batches: List[List[int]] = []
    for number in sorted(range(len(lengths)), key=lambda each: -lengths[each]):
        if batches and (len(batches[-1]) + 1) * min(lengths[batches[-1][0]], window) <= BATCH_TOKENS:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches


@contextmanager
def _evaluating(model: WordNetwork) -> Iterator[None]:
    """Without dropout and gradient. A model that is not in training is not touched, as other threads may use it."""
    was_training = model.training
    if was_training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if was_training:
            model.train()


def _windows(model: WordNetwork, rows: Sequence[Ids], *, has_end: bool) -> Iterator[Window]:
    """Every row after one `</S>`, part by part.

    has_end (bool): Rows without words are wanted too, as their end has a score.
    """
    size = model.config.window if model.config.cell == "transformer" else WINDOW
    device = model.embedding.weight.device
    places = [number for number, row in enumerate(rows) if has_end or len(row)]
    inputs = {number: np.concatenate([[END], rows[number]]) for number in places}
    for batch in plan_batches([len(inputs[number]) for number in places], size):
        numbers = [places[place] for place in batch]
        state = model.initial_state(len(numbers))
        for begin in range(0, len(inputs[numbers[0]]), size):
            numbers = [number for number in numbers if len(inputs[number]) > begin]  # the first ones: they are longest
            parts = [inputs[number][begin : begin + size] for number in numbers]
            state = State(*(part[:, : len(numbers)] for part in state))
            ids, mask = (torch.from_numpy(each).to(device) for each in _pad(parts))
            outputs, state = model(ids, state, mask=None if bool(mask.all()) else mask)
            yield Window(numbers, begin, mask, outputs)


def _pad(parts: Sequence[Ids]) -> Tuple[Ids, npt.NDArray[np.bool_]]:
    """Rows of falling length side by side. RETURNS: ids and mask, (rows, seq)."""
    lengths = np.asarray([len(part) for part in parts])
    mask = np.arange(lengths[0])[None] < lengths[:, None]
    ids = np.full(mask.shape, END, dtype=np.int64)
    ids[mask] = np.concatenate(parts)
    return ids, mask


def _put_scores(model: WordNetwork, window: Window, targets: Sequence[Ids], found: List[Annotation]) -> None:
    """targets (Sequence[Ids]): What follows each word of each list."""
    begin, lengths = window.begin, window.mask.sum(1).tolist()
    parts = [targets[number][begin : begin + length] for number, length in zip(window.numbers, lengths)]
    ids = torch.from_numpy(np.concatenate(parts)).to(window.mask.device)
    nats = model.losses(window.outputs[window.mask], ids).double().cpu().numpy()
    bits = np.maximum(nats / math.log(2), 0.0)  # rounding can give a certain word a little less
    for number, part in zip(window.numbers, np.split(-bits, np.cumsum(lengths)[:-1])):
        found[number].scores[begin : begin + len(part)] = part


def _put_states(window: Window, found: List[Annotation]) -> None:
    outputs = window.outputs.float().cpu().numpy()
    for number, row, n_real in zip(window.numbers, outputs, window.mask.sum(1).tolist()):
        first = 0 if window.begin else 1  # what stands after the first `</S>` is no word's
        found[number].states[window.begin + first - 1 : window.begin + n_real - 1] = row[first:n_real]


def _add_spellings(model: WordNetwork, token_lists: TokenLists, found: List[Annotation]) -> None:
    """An unknown word costs its spelling too."""
    if model.spelling is None:
        return
    places = [
        (number, place, token_lists[number][place])
        for number, each in enumerate(found)
        for place in np.flatnonzero(each.is_unknown).tolist()
        if token_lists[number][place] != UNKNOWN  # already without its spelling
    ]
    words = list(dict.fromkeys(word for _, _, word in places))
    bits: Dict[str, float] = dict(zip(words, model.spelling.log2_probabilities(words)))
    for number, place, word in places:
        found[number].scores[place] += bits[word]


def _ids(model: WordNetwork, tokens: Sequence[str]) -> Ids:
    """Word ids. `<S>`, which no text has, is an unknown word."""
    indexer = _indexer(model)
    if isinstance(tokens, str) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(Errors.G017.format(found=tokens[:40] if isinstance(tokens, str) else tokens))
    ids = indexer.ids(tokens)
    ids[ids == BEGIN] = UNKNOWN_ID
    return ids


def _indexer(model: WordNetwork) -> VocabularyIndexer:
    if model.indexer is None:
        raise ValueError(Errors.G184)
    return model.indexer
