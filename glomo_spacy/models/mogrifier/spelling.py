"""How unknown words are spelled: a small language model over their bytes, so that a rare name is surprising, not cheap.

A closed vocabulary gives all unknown words one probability together. Times that of the word's spelling it becomes one
of this very word. Source of the idea: Mielke and Eisner 2019, "Spell Once, Summon Anywhere" (arXiv 1804.08205), who
spell novel words by such a model; theirs sees the state of the language model, this one the word alone.
"""

from typing import Dict, List, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..derived import Derived
from ..precision import at_least_float32

N_BYTES = 256
MAX_WORDS = 1 << 16  # spellings remembered, some 10 MB
_MARK = N_BYTES  # read before the first byte, predicted after the last one
_LENGTHS = (8, 16, 32, 64, 128)  # bytes to which words are padded; longer ones are read in parts of the last length
_ROWS = 16  # words computed together without gradient
_LONGEST_LEARNED = 64  # bytes of a word that training reads: an address of a page would stop a step for seconds


class Spelling(nn.Module):
    """P(word) = product over its UTF-8 bytes, and the end behind them, of P(byte | bytes before), by an LSTM.

    The probabilities of all strings of bytes sum to 1. Those of known words are part of that sum, although they are
    never spelled: together with P(unknown word) it is a lower bound, by little, since few unknown words look like them.

    width (int): Of a byte's vector and of the LSTM. 64 takes 0.07 million parameters.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(N_BYTES + 1, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.output = nn.Linear(width, N_BYTES + 1)
        self._known: Derived[Dict[str, float]] = Derived()

    def losses(self, words: Sequence[str]) -> Tensor:
        """What training minimises: -ln P(word), of long words that of their first 64 bytes.

        words (Sequence[str]): Unknown words of the training text, each form as often as is thought right.
        RETURNS (Tensor): Nats, in the weights' type. Shape: (words,).
        """
        spelled = [_spell(word)[:_LONGEST_LEARNED] for word in words]
        n_steps = min(max(map(len, spelled), default=0) + 1, _LONGEST_LEARNED)
        return self._nats(spelled, n_steps).to(self.output.weight.dtype)

    def log2_probabilities(self, words: Sequence[str]) -> npt.NDArray[np.float64]:
        """How likely each spelling is. A word has the same bits in any company; what was asked before is remembered.

        words (Sequence[str]): Any strings; the empty one is an end without bytes.
        RETURNS (ndarray): Logarithms to base 2, below 0. Shape: (words,).
        """
        known = self._known.get(self, None, dict)
        found = {word: known.get(word, np.nan) for word in words}
        missing = [word for word, value in found.items() if np.isnan(value)]
        if missing:
            found.update(zip(missing, self._compute(missing)))
            if len(known) + len(missing) > MAX_WORDS:
                known.clear()
            known.update((word, found[word]) for word in missing[:MAX_WORDS])
        return np.array([found[word] for word in words], dtype=np.float64)

    @torch.no_grad()
    def _compute(self, words: Sequence[str]) -> List[float]:
        """Log2-probabilities of different words, in blocks whose shape a word's own length decides."""
        spelled = [_spell(word) for word in words]
        nats = np.empty(len(words))
        by_length: Dict[int, List[int]] = {}
        for place, spelling in enumerate(spelled):
            by_length.setdefault(_padded(len(spelling) + 1), []).append(place)
        for n_steps, places in by_length.items():
            for begin in range(0, len(places), _ROWS):
                block = places[begin : begin + _ROWS]
                rows = [spelled[place] for place in block] + [b""] * (_ROWS - len(block))
                nats[block] = self._nats(rows, n_steps)[: len(block)].cpu().numpy()
        log2: List[float] = (-nats / np.log(2)).tolist()
        return log2

    def _nats(self, spelled: Sequence[bytes], n_steps: int) -> Tensor:
        """-ln P of at most the first `n_steps` bytes, the end being one. Shape: (words,), float64."""
        device = self.output.weight.device
        rows = np.full((len(spelled), n_steps + 1), _MARK, dtype=np.int64)
        for row, spelling in zip(rows, spelled):
            row[1 : len(spelling) + 1] = np.frombuffer(spelling, dtype=np.uint8)[:n_steps]
        ids = torch.from_numpy(rows).to(device)  # (words, steps + 1)
        n_predicted = torch.tensor([len(spelling) + 1 for spelling in spelled], device=device)  # (words,)
        total = torch.zeros(len(spelled), dtype=torch.float64, device=device)
        state = None
        for begin in range(0, n_steps if spelled else 0, _LENGTHS[-1]):
            inputs, targets = ids[:, begin:-1][:, : _LENGTHS[-1]], ids[:, begin + 1 :][:, : _LENGTHS[-1]]
            with torch.autocast(device.type, enabled=False):  # small products, of which none gains by half precision
                outputs, state = self.lstm(self.embedding(inputs), state)  # (words, steps, width)
                logits = at_least_float32(self.output(outputs))  # (words, steps, bytes + 1)
            nats = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")  # (words, steps)
            places = torch.arange(begin, begin + targets.shape[1], device=device)
            total = total + nats.where(places < n_predicted[:, None], 0).sum(1, dtype=torch.float64)
        return total


def _spell(word: str) -> bytes:
    """Half a surrogate pair has no UTF-8 form, but a word that holds one is not the word without it."""
    return word.encode("utf8", "surrogatepass")


def _padded(n_steps: int) -> int:
    """The length that a word of so many bytes and its end is padded to."""
    longest = _LENGTHS[-1]
    return next((length for length in _LENGTHS if n_steps <= length), -(-n_steps // longest) * longest)
