"""The best answers of a question over several windows of one context, as if the context had been read at once.

Source: windows with a stride after Devlin et al. 2019, section 4.2. Their scores are compared as logits there; here a
probability is over the tokens of all windows together, so that one window gives what `best_spans` gives.
"""

from math import exp
from typing import Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from .decoding import TIE, Span, best_spans


@torch.no_grad()
def best_spans_of_windows(
    start_logits: Sequence[Tensor],
    end_logits: Sequence[Tensor],
    begins: Sequence[int],
    *,
    max_answer: int = 16,
    k: int = 1,
) -> List[Span]:
    """The best answers of one question, best first; one that stands in two windows counts with its higher score.

    start_logits, end_logits (Sequence[Tensor]): Of each window, without padding. Shape of each: (tokens,).
    begins (Sequence[int]): Where each window begins in the context.
    max_answer (int): Tokens of the longest answer.
    k (int): Answers at most.
    RETURNS (List[Tuple[int, int, float]]): First token, last token (inclusive), both in the context, and score: the
        probability of that start times that of that end, each by softmax over all windows.
    """
    totals = torch.stack([torch.cat(list(logits)).double().logsumexp(0) for logits in (start_logits, end_logits)])
    best: Dict[Tuple[int, int], float] = {}
    for starts, ends, begin in zip(start_logits, end_logits, begins):
        own = torch.stack([logits.double().logsumexp(0) for logits in (starts, ends)])
        share = float((own - totals).sum().exp())
        mask = torch.ones(1, len(starts), dtype=torch.bool, device=starts.device)
        for first, last, score in best_spans(starts[None], ends[None], mask, max_answer=max_answer, k=k)[0]:
            place = (begin + first, begin + last)
            if score * share > 0.0:
                best[place] = max(best.get(place, 0.0), score * share)
    return _in_order(best, k)


def _in_order(scores: Dict[Tuple[int, int], float], k: int) -> List[Span]:
    """The `k` best, by the rule of `best_spans`: of those within `TIE` of the best, the earliest and shortest."""
    left = dict(sorted(scores.items()))
    spans: List[Span] = []
    while left and len(spans) < k:
        as_good = max(left.values()) * exp(-TIE)
        place = next(place for place, score in left.items() if score >= as_good)
        spans.append((*place, min([left.pop(place), *(score for _, _, score in spans[-1:])])))
    return spans
