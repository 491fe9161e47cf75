"""From characters to tokens: which tokens an answer is, and which stretches of a long context are read at a time.

Source: the preprocessing of the GLoMo reader (Yang et al. 2018; it descends from R-Net): an answer is the tokens from
the first to the last that shares a character with it. There, contexts of more than 400 tokens were dropped in training
and in evaluation; here they are read in windows.
"""

from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import numpy.typing as npt

from ..errors import Errors

WINDOW = 400  # tokens; the published limit of a context
STRIDE = 200  # tokens from one window's begin to the next one's


@dataclass
class AlignmentReport:
    """How the listed answers fit the tokens.

    exact (int): Answers whose ends are ends of tokens.
    widened (int): Answers that begin or end within a token, which was taken whole.
    lost (int): Answers that share no character with a token.
    """

    exact: int = 0
    widened: int = 0
    lost: int = 0

    @property
    def total(self) -> int:
        """Number of answers."""
        return self.exact + self.widened + self.lost

    def to_dict(self) -> Dict[str, int]:
        """The three numbers, by name."""
        return asdict(self)


def normalize_quotes(text: str) -> str:
    """Two straight single quotes, or two back-ticks, become a double quote and a blank: as many characters, so that
    offsets stay valid.
    """
    return text.replace("''", '" ').replace("``", '" ')


def align_answer(
    offsets: npt.NDArray[np.integer[Any]],
    start: int,
    end: int,
    *,
    report: Optional[AlignmentReport] = None,
) -> Optional[Tuple[int, int]]:
    """Find the tokens that an answer is made of: all that share at least one character with it.

    offsets (ndarray): Begin and end of every token in characters, in the order of the text. Shape: (tokens, 2).
    start (int): First character of the answer.
    end (int): The character after its last. White space at its ends does not matter if the tokens hold none.
    report (Optional[AlignmentReport]): Where to count it.
    RETURNS (Optional[Tuple[int, int]]): Its first and its last token, or None if no token shares a character with it.
    """
    first = int(np.searchsorted(offsets[:, 1], start, side="right"))
    last = int(np.searchsorted(offsets[:, 0], end, side="left")) - 1
    is_lost = first > last
    if report is not None:
        if is_lost:
            report.lost += 1
        elif offsets[first, 0] >= start and offsets[last, 1] <= end:
            report.exact += 1
        else:
            report.widened += 1
    return None if is_lost else (first, last)


def windows(n_tokens: int, *, size: int = WINDOW, stride: int = STRIDE) -> List[Tuple[int, int]]:
    """Divide a long context into windows that overlap, so that each token is read and each answer of at most
    `size - stride` tokens stands whole in one of them.

    n_tokens (int): Tokens of the context.
    size (int): Tokens of a window. A shorter context is one window.
    stride (int): Tokens from one begin to the next, from 1 to `size`. The last window ends with the text.
    RETURNS (List[Tuple[int, int]]): Begin and end of each window.
    RAISES: ValueError G076 for a stride that would leave tokens out.
    """
    if not 1 <= stride <= size:
        raise ValueError(Errors.G076.format(size=size, stride=stride))
    begins = [*range(0, max(n_tokens - size, 0), stride), max(n_tokens - size, 0)]
    return [(begin, min(begin + size, n_tokens)) for begin in begins]


def training_window(n_tokens: int, answer: Tuple[int, int], *, size: int = WINDOW) -> Tuple[int, int]:
    """The stretch of a context that is trained on: all of it if it is short, else the window with the answer in its
    middle, as far as the text reaches.

    n_tokens (int): Tokens of the context.
    answer (Tuple[int, int]): First and last token of the answer.
    size (int): Tokens of a window. An answer of more tokens makes it longer.
    RETURNS (Tuple[int, int]): Begin and end of the window.
    """
    first, last = answer
    length = min(max(size, last - first + 1), n_tokens)
    middle = (first + last + 1) // 2
    begin = min(max(middle - length // 2, 0), n_tokens - length)
    return begin, begin + length


def answer_text(context: str, offsets: npt.NDArray[np.integer[Any]], span: Tuple[int, int]) -> str:
    """The characters of a context from the begin of a span's first token to the end of its last.

    offsets (ndarray): Begin and end of every token, in characters. Shape: (tokens, 2).
    """
    first, last = span
    return context[int(offsets[first, 0]) : int(offsets[last, 1])]
