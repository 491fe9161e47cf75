"""From scores of first and last tokens to the best answers.

Source: the reader of kimiyoung/glomo: maximise start_i + end_j subject to 0 <= j - i < 16.
"""

from typing import List, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

Span = Tuple[int, int, float]  # first token, last token (inclusive), score

TIE = 1e-4  # nats: what differs by less is a tie, lest rounding in another batch choose another answer


@torch.no_grad()
def best_spans(
    start_logits: Tensor, end_logits: Tensor, mask: Tensor, *, max_answer: int = 16, k: int = 1
) -> List[List[Span]]:
    """The best answers of each question, best first; of equal ones, to a ten-thousandth, the earliest and shortest.

    start_logits, end_logits (Tensor): As `ReaderModel` gives them. Shape: (questions, seq).
    mask (Tensor): True where an answer may start and end. Shape: (questions, seq).
    max_answer (int): Tokens of the longest answer.
    k (int): Answers per question; fewer if a text has no more.
    RETURNS (List[List[Tuple[int, int, float]]]): First token, last token (inclusive) and score: the probability of
        that start times that of that end, each by softmax over the text.
    """
    starts, ends = (_log_probabilities(logits, mask) for logits in (start_logits, end_logits))
    following = F.pad(ends, (0, max_answer - 1), value=-torch.inf).unfold(1, max_answer, 1)
    scores = (starts[:, :, None] + following).flatten(1)  # (questions, seq * max_answer)
    ranks = (scores / TIE).round()
    spans: List[List[Span]] = [[] for _ in range(len(scores))]
    for _ in range(min(k, scores.shape[1])):
        places = ranks.argmax(dim=1, keepdim=True)  # the first of equals, unlike topk
        best = scores.gather(1, places).exp().squeeze(1)
        ranks.scatter_(1, places, -torch.inf)
        scores.scatter_(1, places, -torch.inf)
        for question, (score, place) in enumerate(zip(best.tolist(), places.squeeze(1).tolist())):
            start, length = divmod(place, max_answer)
            if score > 0.0:
                spans[question].append((start, start + length, score))
    return spans


def _log_probabilities(logits: Tensor, mask: Tensor) -> Tensor:
    """float64, so that no probability of a real token vanishes. Shape: (questions, seq)."""
    return logits.double().masked_fill(~mask, -torch.inf).log_softmax(-1)
