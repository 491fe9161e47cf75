"""Frozen graphs of contexts on disk: computed when a context is first met, read whenever it returns.

They never change, and computing them takes an eighth of a training step. They cannot be kept mixed, since the mixture
is learned, but half of what they hold need not be stored: graphs of fixed windows follow from the length, and left and
right graphs, which never meet, share an array. A context of 137 tokens, SQuAD's mean, takes 0.6 MB with `glomo_en_sm`;
all of its training contexts take 13 GB. What is read often stays in the system's memory.
"""

from hashlib import blake2b
from pathlib import Path
from typing import List

import torch
from torch import Tensor

from ...files import PathLike
from ..array_cache import ArrayFolder
from ..glomo.graph import fixed_graphs
from .sources import GraphSource

_ROOM = 1 << 40  # bytes: a corpus of contexts is bounded by itself


class GraphStore:
    """Give what a `GraphSource` gives, each text computed by itself, once.

    What a text's graphs are does not depend on the texts beside it, so that a run that is resumed equals one that
    was not, bit for bit, whatever the store holds by then. Several processes may use a folder at once.

    source (GraphSource): Computes the graphs.
    folder (PathLike): Of an `ArrayFolder`: a file per source and text, in float32. A damaged one is computed and
        written again; a full disk draws a warning, and what does not fit is computed each time.
    """

    def __init__(self, source: GraphSource, folder: PathLike) -> None:
        self._source = source
        self._config = source.model.config
        self._folder = ArrayFolder(Path(folder), _ROOM)

    @torch.no_grad()
    def graphs(self, ids: Tensor, mask: Tensor) -> List[Tensor]:
        """Arguments and result as of `GraphSource.graphs`."""
        (batch, seq), n_layers = ids.shape, self._config.n_layers
        n_windows = len(self._config.fixed_windows)
        layers = [
            ids.new_zeros(batch, self._config.n_heads, seq, seq, dtype=torch.float32) for _ in range(2 * n_layers)
        ]
        windows = fixed_graphs(self._config.fixed_windows, seq, like=layers[0])  # (windows, seq, seq)
        lengths: List[int] = mask.sum(1).tolist()
        for row, length in enumerate(lengths):
            learned = self._learned(ids[row, :length]).to(ids.device)
            before = windows[:, :length, :length]
            after = before.flip(1, 2)  # the same windows in the text's reverse
            for layer, graph in enumerate(layers):
                is_right = layer >= n_layers
                text = graph[row, :, :length, :length]  # (heads, tokens, tokens)
                text[:n_windows] = after if is_right else before
                own = learned[layer % n_layers]
                torch.triu(own, 1, out=text[n_windows:]) if is_right else torch.tril(own, -1, out=text[n_windows:])
        return layers

    def _learned(self, text: Tensor) -> Tensor:
        """What the learned heads of one text give, left graphs below the diagonal, right ones above.

        RETURNS (Tensor): Shape: (layers, learned heads, tokens, tokens).
        """
        shape = (self._config.n_layers, self._config.n_learned_heads, len(text), len(text))
        key = blake2b(text.cpu().numpy().astype("<i8").tobytes(), digest_size=16).hexdigest()
        stored = self._folder.read(self._source.sha256, key)
        if stored is not None and stored.shape == shape:
            return torch.from_numpy(stored)
        layers = self._source.graphs(text[None], torch.ones_like(text[None], dtype=torch.bool))
        learned = [layer[0, len(self._config.fixed_windows) :] for layer in layers]
        left, right = learned[: self._config.n_layers], learned[self._config.n_layers :]
        values = torch.stack([torch.add(*pair) for pair in zip(left, right)]).view(shape)
        self._folder.write(self._source.sha256, key, values.cpu().numpy())
        return values
