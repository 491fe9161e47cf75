"""Graphs of texts that were met before, found again by the words of the text, in bounded memory.

They cannot be kept mixed, since the mixture is learned: a context of 150 tokens takes 3 MB with the graphs of
`glomo_en_sm` (2 directions, 2 layers, 8 heads), so that 1 GB holds 350 of the 19,000 contexts of SQuAD, where computing
graphs takes a seventh of a training step. It pays off for small corpora.
"""

from typing import Callable, Dict, List

import torch
from torch import Tensor

ComputeGraphs = Callable[[Tensor, Tensor], List[Tensor]]


class GraphCache:
    """Keep graphs as they come until there is no more room, and then what there is.

    The texts of a corpus return once an epoch, in another order each time. Whoever makes room by throwing out what was
    not used for longest finds next to nothing then; this finds the share that it holds.

    max_bytes (int): Room for graphs. 0: nothing is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._texts: Dict[bytes, Tensor] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def graphs(self, ids: Tensor, mask: Tensor, compute: ComputeGraphs) -> List[Tensor]:
        """Graphs of some texts, of which only unknown ones are computed; equal to computing all, up to rounding.

        ids (Tensor): Word ids. Shape: (batch, seq).
        mask (Tensor): True for real tokens, padding at the right. Shape: (batch, seq).
        compute (ComputeGraphs): Gives the layers of ids and mask.
        RETURNS (List[Tensor]): Of each layer. Shape of each: (batch, heads, receiver, source).
        """
        if not self.max_bytes:
            return compute(ids, mask)
        lengths: List[int] = mask.sum(1).tolist()
        keys = [row[:length].cpu().numpy().tobytes() for row, length in zip(ids, lengths)]
        unknown = [place for place, key in enumerate(keys) if key not in self._texts]
        if len(unknown) == len(keys):
            layers = compute(ids, mask)
            self._keep(layers, keys, lengths)
            return layers
        found = {place: self._texts[key] for place, key in enumerate(keys) if key in self._texts}
        if unknown:
            longest = max(lengths[place] for place in unknown)
            layers = compute(ids[unknown, :longest], mask[unknown, :longest])
            found |= {place: _cut(layers, row, lengths[place]) for row, place in enumerate(unknown)}
            self._keep(layers, [keys[place] for place in unknown], [lengths[place] for place in unknown])
        return _padded(found, ids.shape[1])

    def _keep(self, layers: List[Tensor], keys: List[bytes], lengths: List[int]) -> None:
        for row, (key, length) in enumerate(zip(keys, lengths)):
            size = len(layers) * layers[0].shape[1] * length**2 * layers[0].element_size()
            if key not in self._texts and self.n_bytes + size <= self.max_bytes:
                self._texts[key] = _cut(layers, row, length)
                self.n_bytes += size


def _cut(layers: List[Tensor], row: int, length: int) -> Tensor:
    """All graphs of a text without padding. Shape: (layers, heads, tokens, tokens)."""
    return torch.stack([layer[row, :, :length, :length] for layer in layers])


def _padded(texts: Dict[int, Tensor], seq: int) -> List[Tensor]:
    """Layer by layer, padding 0. Shape of each: (batch, heads, seq, seq)."""
    n_layers, n_heads, _, _ = texts[0].shape
    layers = texts[0].new_zeros(n_layers, len(texts), n_heads, seq, seq)
    for place, graphs in texts.items():
        length = graphs.shape[-1]
        layers[:, place, :, :length, :length] = graphs
    return list(layers)
