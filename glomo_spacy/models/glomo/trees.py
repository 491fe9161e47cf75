"""Graphs along trees that were parsed before: the control from above, as the uniform graph is the one from below.

What would a reader gain from graphs that know who governs whom? In the first layer each word looks at its head, in the
second at its dependents, split into left and right as learned graphs are, beside the same fixed windows. The trees come
from a parser, once, and are looked up by the words of a text: nothing here parses.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import Errors
from ..config_checks import check_names
from ..masking import checked_mask
from .config import WHOLE_PAST
from .graph import window_graphs


@dataclass(frozen=True)
class TreeConfig:
    """Everything needed to build `TreeGraphs`.

    vocab_size (int): Words of its indexer, the unknown word included.
    n_texts (int), n_tokens (int): How many were parsed.
    fixed_windows (Tuple[int, ...]): As `GlomoConfig.fixed_windows`; those of `glomo_en_sm`.
    """

    vocab_size: int
    n_texts: int
    n_tokens: int
    fixed_windows: Tuple[int, ...] = field(default=(1, 3, 12, WHOLE_PAST))

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed_windows", tuple(self.fixed_windows))
        for name in ("vocab_size", "n_texts", "n_tokens"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 0:
                raise ValueError(Errors.G101.format(name=name, expected="a whole number", value=value))

    @property
    def n_layers(self) -> int:
        """Heads, dependents."""
        return 2

    @property
    def n_learned_heads(self) -> int:
        """The tree, in the place of a learned head."""
        return 1

    @property
    def n_heads(self) -> int:
        """Graphs per layer."""
        return len(self.fixed_windows) + self.n_learned_heads

    @classmethod
    def from_dict(cls, values: Dict[str, Any]) -> "TreeConfig":
        """Build from a config section; an unknown name is an error that lists the known ones."""
        check_names(cls, values)
        return cls(**values)


class TreeGraphs(nn.Module):
    """The trees of a number of texts, as the graphs that `GlomoModel.iter_graphs` gives.

    config (TreeConfig): How many.
    """

    digests: Tensor  # of a text's word ids: (texts, 2)
    ends: Tensor  # where the heads of a text end: (texts,)
    heads: Tensor  # how far to the right of a word its head stands, 0 for a root: (tokens,)

    def __init__(self, config: TreeConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("digests", torch.zeros(config.n_texts, 2, dtype=torch.int64))
        self.register_buffer("ends", torch.zeros(config.n_texts, dtype=torch.int64))
        self.register_buffer("heads", torch.zeros(config.n_tokens, dtype=torch.int16))
        self._places: Dict[Tuple[int, int], int] = {}

    @classmethod
    def of_texts(
        cls, texts: Sequence[Sequence[int]], heads: Sequence[Sequence[int]], *, vocab_size: int
    ) -> "TreeGraphs":
        """Take in parsed texts.

        texts (Sequence[Sequence[int]]): Word ids of each.
        heads (Sequence[Sequence[int]]): For each word the place of its head in the text; a root's is its own.
        vocab_size (int): As in `TreeConfig`.
        """
        offsets = [np.asarray(places, dtype=np.int64) - np.arange(len(places)) for places in heads]
        lengths = [len(each) for each in offsets]
        trees = cls(TreeConfig(vocab_size, len(texts), sum(lengths)))
        if texts:
            trees.digests.copy_(torch.tensor([_digest(text) for text in texts]))
            trees.ends.copy_(torch.tensor(lengths).cumsum(0))
            trees.heads.copy_(torch.from_numpy(np.concatenate(offsets).astype(np.int16)))
        return trees

    def iter_graphs(self, ids: Tensor, mask: Optional[Tensor] = None) -> Iterator[Tensor]:
        """Left layers, then right ones: fixed windows, then the edge to the head (layer 0) or dependents (layer 1).

        ids (Tensor): Word ids. Shape: (batch, seq).
        mask (Optional[Tensor]): True for real tokens, padding at the right. Shape: (batch, seq).
        YIELDS (Tensor): Rows sum to 1 or 0; padding is 0. Shape: (batch, heads, receiver, source).
        RAISES: ValueError G103 or G104 for a mask that does not fit, G360 for a text that was not parsed.
        """
        mask = checked_mask(ids, mask)
        real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        to_head = self._to_head(ids, real)
        pairs = (real[:, :, None] & real[:, None, :])[:, None]  # (batch, 1, receiver, source)
        positions = torch.arange(ids.shape[1], device=ids.device)
        earlier = positions[:, None] - positions  # (receiver, source)
        for distance in (earlier, -earlier):
            allowed = pairs & (distance > 0)
            windows = window_graphs(self.config.fixed_windows, distance, allowed)
            for edges in (to_head, to_head.transpose(1, 2)):
                tree = edges[:, None] * allowed  # (batch, 1, receiver, source)
                yield torch.cat([windows, tree / tree.sum(-1, keepdim=True).clamp(min=1)], dim=1)

    def _to_head(self, ids: Tensor, real: Tensor) -> Tensor:
        """1 where the source is the receiver's head. Shape: (batch, receiver, source)."""
        edges = torch.zeros(*ids.shape, ids.shape[1])
        for row, length in enumerate(real.sum(1).tolist()):
            receivers = torch.arange(length)
            edges[row, receivers, receivers + self._heads_of(ids[row, :length].tolist())] = 1
        return edges.to(ids.device)

    def _heads_of(self, text: List[int]) -> Tensor:
        if not self._places:
            self._places = {(first, second): place for place, (first, second) in enumerate(self.digests.tolist())}
        place = self._places.get(_digest(text))
        if place is None:
            raise ValueError(Errors.G360.format(n_tokens=len(text), n_texts=self.config.n_texts))
        end = int(self.ends[place])
        return self.heads[end - len(text) : end].cpu().long()


def _digest(text: Sequence[int]) -> Tuple[int, int]:
    digest = blake2b(np.asarray(text, dtype="<i8").tobytes(), digest_size=16).digest()
    first, second = np.frombuffer(digest, dtype="<i8").tolist()
    return first, second
