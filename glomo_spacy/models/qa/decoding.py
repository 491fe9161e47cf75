"""From scores of first and last tokens to the best answers.

Source: the reader of kimiyoung/glomo: maximise start_i + end_j subject to 0 <= j - i < 16.
"""

from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

Span = Tuple[int, int, float]  # first token, last token (inclusive), score

TIE = 1e-4  # nats: what is this near to the best is as good, lest rounding in another batch choose another answer


@torch.no_grad()
def best_spans(
    start_logits: Tensor, end_logits: Tensor, mask: Tensor, *, max_answer: int = 16, k: int = 1
) -> List[List[Span]]:
    """The best answers of each question, best first; of those within `TIE` of the best, the earliest and shortest.

    start_logits, end_logits (Tensor): As `ReaderModel` gives them. Shape: (questions, seq).
    mask (Tensor): True where an answer may start and end. Shape: (questions, seq).
    max_answer (int): Tokens of the longest answer.
    k (int): Answers per question; fewer if a text has no more.
    RETURNS (List[List[Tuple[int, int, float]]]): First token, last token (inclusive) and score: the probability of
        that start times that of that end, each by softmax over the text; never above the score before it.
    """
    starts, ends = (_log_probabilities(logits, mask) for logits in (start_logits, end_logits))
    following = F.pad(ends, (0, max_answer - 1), value=-torch.inf).unfold(1, max_answer, 1)
    scores = (starts[:, :, None] + following).flatten(1)  # (questions, seq * max_answer)
    lowest = scores.amax(dim=1)
    spans: List[List[Span]] = [[] for _ in range(len(scores))]
    for _ in range(min(k, scores.shape[1])):
        as_good = scores >= scores.amax(dim=1, keepdim=True) - TIE
        places = as_good.byte().argmax(dim=1, keepdim=True)  # the first of equals, unlike topk
        lowest = torch.minimum(lowest, scores.gather(1, places).squeeze(1))
        scores.scatter_(1, places, -torch.inf)
        for question, (score, place) in enumerate(zip(lowest.exp().tolist(), places.squeeze(1).tolist())):
            start, length = divmod(place, max_answer)
            if score > 0.0:
                spans[question].append((start, start + length, score))
    return spans


def _log_probabilities(logits: Tensor, mask: Tensor) -> Tensor:
    """float64, so that no probability of a real token vanishes. Shape: (questions, seq)."""
    return logits.double().masked_fill(~mask, -torch.inf).log_softmax(-1)
