"""What a frozen network made of texts before, so that training runs it once per text and not once per epoch.

A result is found again by all it depends on: the words and boundaries that a network sees of a Doc, its weights and its
settings. Other weights never find it. What comes back is bit for bit what was computed; computed among other batch
mates, it differs by the rounding of sums, as without a cache.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from spacy.tokens import Doc
from thinc.api import Model, Optimizer
from thinc.shims import Shim
from torch import Tensor

from .. import __version__
from ..errors import Errors
from ..models.array_cache import Array, ArrayCache, ArrayFolder
from ..models.derived import Derived
from ..models.precision import precisions
from .pretrained import PretrainedNetwork
from .seam import doc_windows

ComputeRows = Callable[[List[Doc]], Tensor]
ComputeLayers = Callable[[Tensor, Tensor], Iterable[Tensor]]

_MB = 1 << 20


@dataclass(frozen=True)
class CacheSettings:
    """The arguments of `glomo_spacy.Cached.v1` beside the model, which explains them.

    sentences (str): How the network reads sentences, as for `seam.doc_windows`.
    RAISES: ValueError G101 for a size below 0.
    """

    max_mb: int
    path: Optional[str]
    max_disk_mb: int
    in_training_only: bool
    sentences: str

    def __post_init__(self) -> None:
        for name in ("max_mb", "max_disk_mb"):
            if getattr(self, name) < 0:
                expected = "a whole number, 0 or more"
                raise ValueError(Errors.G101.format(name=name, expected=expected, value=getattr(self, name)))


class FeatureCache:
    """Results of one frozen network, by text.

    settings (CacheSettings): Room, place and use.
    is_restored (bool): Whether the weights were loaded with a pipeline, which is then more likely used than trained.
    """

    def __init__(self, settings: CacheSettings, *, is_restored: bool = False) -> None:
        self.settings = settings
        self.is_restored = is_restored
        folder = ArrayFolder(Path(settings.path), settings.max_disk_mb * _MB) if settings.path is not None else None
        self.arrays = ArrayCache(settings.max_mb * _MB, folder)
        self._source: Derived[str] = Derived()

    def __reduce__(self) -> Tuple[Callable[..., "FeatureCache"], Tuple[CacheSettings, bool]]:
        return _make_cache, (self.settings, self.is_restored)

    def serves(self, *, is_train: bool) -> bool:
        """Whether a pass goes through the cache.

        A frozen component under training predicts, as one in use does; but in training it was built from a config.
        """
        return is_train or not (self.is_restored and self.settings.in_training_only)

    def states(self, network: PretrainedNetwork, docs: Sequence[Doc], compute: ComputeRows) -> Tensor:
        """What a network makes of Docs, Doc after Doc, of which only unknown ones are computed.

        network (PretrainedNetwork): That computes them.
        docs (Sequence[Doc]): Any lengths.
        compute (ComputeRows): Gives those of some Docs, a row for each token. Shape: (tokens, width).
        RETURNS (Tensor): Without gradient. Shape: (tokens, width).
        RAISES: ValueError G162 if sentences are required and missing, known text or not.
        """

        def compute_arrays(places: List[int]) -> List[Array]:
            missing = [docs[place] for place in places]
            parts = compute(missing).detach().cpu().split([len(doc) for doc in missing])
            return [part.clone().numpy() for part in parts]

        if not docs:
            return compute([])
        keys = [_doc_key(doc, self.settings.sentences) for doc in docs]
        arrays = self.arrays.collect(self._source_of(network), keys, compute_arrays)
        return torch.from_numpy(np.concatenate(arrays)).to(network.device)  # (tokens, width)

    def graph_layers(
        self, network: PretrainedNetwork, ids: Tensor, mask: Tensor, compute: ComputeLayers
    ) -> Iterator[Tensor]:
        """Graphs of texts side by side, of which only unknown ones are computed.

        network (PretrainedNetwork): That computes them.
        ids, mask (Tensor): Of the words, padding at the right. Shape: (batch, seq).
        compute (ComputeLayers): Gives the layers of ids and mask.
        RETURNS (Iterator[Tensor]): The layers, padding 0. Shape of each: (batch, heads, receiver, source).
        """
        lengths: List[int] = mask.sum(1).tolist()

        def compute_arrays(places: List[int]) -> List[Array]:
            longest = max(lengths[place] for place in places)
            layers = torch.stack(list(compute(ids[places, :longest], mask[places, :longest]))).cpu()
            parts = (layers[:, row, :, : lengths[place], : lengths[place]] for row, place in enumerate(places))
            return [part.clone().numpy() for part in parts]  # each (layers, heads, tokens, tokens)

        keys = [_key(row[:length].cpu().numpy()) for row, length in zip(ids, lengths)]
        arrays = self.arrays.collect(self._source_of(network), keys, compute_arrays)
        n_layers, n_heads = arrays[0].shape[:2]
        padded = np.zeros((n_layers, len(keys), n_heads, ids.shape[1], ids.shape[1]), dtype=np.float32)
        for row, (array, length) in enumerate(zip(arrays, lengths)):
            padded[:, row, :, :length, :length] = array
        return iter(torch.from_numpy(padded).to(ids.device))

    def _source_of(self, network: PretrainedNetwork) -> str:
        """What results depend on beside the text, as a digest: weights, settings, number types, and our own version."""
        device = network.device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        settings = (id(network), network.given, precisions(network), autocast, __version__)

        def digest() -> str:
            about = repr((type(network).__name__, *settings[1:])).encode("utf8")
            salt = blake2b(about, digest_size=16).digest()
            return blake2b(network.network_to_bytes(), digest_size=16, salt=salt).hexdigest()

        return self._source.get(network.network, settings, digest)


class CacheShim(Shim):
    """Carries a cache inside a Thinc model. It is never stored, and empty in what is unpickled.

    Copies of a model within a process share it, so that components whose listeners were replaced fill it together.

    cache (FeatureCache): What it carries.
    """

    def __init__(self, cache: FeatureCache) -> None:
        super().__init__(cache)

    @property
    def cache(self) -> FeatureCache:
        """What it carries now."""
        cache: FeatureCache = self._model
        return cache

    def copy(self) -> "CacheShim":
        """Another shim with the same cache."""
        return CacheShim(self.cache)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Nothing learns here."""

    def to_device(self, device_type: str, device_id: int) -> None:
        """The cache stays in main memory."""

    def to_bytes(self) -> bytes:
        """Nothing is stored."""
        return b""

    def from_bytes(self, data: bytes) -> "CacheShim":
        """The model's weights were loaded: begin empty, and apart from copies made before."""
        self._model = FeatureCache(self.cache.settings, is_restored=True)
        return self

    def __reduce__(self) -> Tuple[Callable[..., "CacheShim"], Tuple[FeatureCache]]:
        return CacheShim, (self.cache,)


def cache_in(model: Model[Any, Any], *, is_train: bool) -> Optional[FeatureCache]:
    """The cache that a pass through the model uses, None if it uses none."""
    caches = (shim.cache for shim in model.shims if isinstance(shim, CacheShim))
    return next((cache for cache in caches if cache.serves(is_train=is_train)), None)


def _make_cache(settings: CacheSettings, is_restored: bool) -> FeatureCache:
    return FeatureCache(settings, is_restored=is_restored)


def _doc_key(doc: Doc, sentences: str) -> str:
    """Of all that a network sees of a Doc: its words, which of them are whitespace, and where sentences end."""
    windows = doc_windows([doc], sentences=sentences, max_window=None)
    bounds = np.asarray([(window.start, window.end, len(window)) for window in windows])
    return _key(doc.to_array("ORTH"), bounds, *(window.tokens for window in windows))


def _key(*parts: np.ndarray) -> str:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(np.int64(part.size).tobytes())
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
