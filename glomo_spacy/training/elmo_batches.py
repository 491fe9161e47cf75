"""Training batches of a biLM: windows of both directions, their different words spelled once, and negatives."""

from typing import Any, Dict, Optional, Tuple

import torch

from ..corpora.sentence_streams import SentenceStreams
from ..models.elmo.windows import WindowMaker, Windows
from ..models.softmax import Negatives
from .objectives import Batch, Batches
from .sampling import LogUniformSampler


class ElmoBatches(Batches):
    """Windows of sentences with the negatives to train on.

    streams (SentenceStreams): Type ids.
    maker (WindowMaker): Spells them.
    sampler (Optional[LogUniformSampler]): None: no negatives.
    n_directions (int): 2, or 1 for a forward-only model.
    seed (int): Start of the generator of negatives. The same on all processes, so that together they give what one
        process with the joined batch gives.
    """

    def __init__(
        self,
        streams: SentenceStreams,
        maker: WindowMaker,
        *,
        sampler: Optional[LogUniformSampler],
        n_directions: int,
        seed: int,
    ) -> None:
        self._streams = streams
        self._maker = maker
        self._sampler = sampler
        self._n_directions = n_directions
        self._generator = torch.Generator().manual_seed(seed)

    def __next__(self) -> Batch:
        """Per direction words and targets; ids and number of draws of the negatives, if any; units."""
        forward_inputs, forward_targets, backward_inputs, backward_targets = next(self._streams)
        inputs = (forward_inputs, backward_inputs)[: self._n_directions]
        targets = (forward_targets, backward_targets)[: self._n_directions]
        windows = self._maker.windows(inputs, targets)
        negatives = () if self._sampler is None else tuple(self._sampler.draw(self._generator))
        return (*windows.words, *windows.targets, *negatives, windows.units)

    @property
    def epoch(self) -> float:
        return float(self._streams.epoch)

    def state_dict(self) -> Dict[str, Any]:
        return {"streams": self._streams.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: Dict[str, Any]) -> None:
        self._streams.load_state_dict(state["streams"])
        self._generator.set_state(state["generator"])


def unpack(batch: Batch, *, n_directions: int, has_negatives: bool) -> Tuple[Windows, Optional[Negatives]]:
    """A batch's parts by name."""
    words, targets = list(batch[:n_directions]), list(batch[n_directions : 2 * n_directions])
    negatives = Negatives(*batch[2 * n_directions : -1]) if has_negatives else None
    return Windows(words, targets, batch[-1]), negatives
