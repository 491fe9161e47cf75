"""Frozen features that are computed once per text instead of once per epoch: where a config asks for it."""

from typing import Any, Optional, Union

from spacy.util import registry
from thinc.api import Model

from ..errors import Errors
from .elmo_network import ElmoNetwork, ElmoSettings
from .feature_cache import CacheSettings, CacheShim, FeatureCache
from .mogrifier_network import MogrifierNetwork
from .pretrained import FrozenNetwork, PretrainedShim

_LOOKED_UP = ("word_vectors", "uniform_graph")  # as quick to make as to find again


@registry.architectures("glomo_spacy.Cached.v1")
def build_cached_v1(
    tok2vec: Model[Any, Any],
    *,
    max_mb: int = 512,
    path: Optional[str] = None,
    max_disk_mb: int = 4096,
    in_training_only: bool = True,
) -> Model[Any, Any]:
    """The same model, which keeps its results: a text that comes again, as in each epoch, is not computed again.

    A result is found by the words of a Doc, its whitespace and its sentence boundaries, together with the weights and
    settings of the frozen network, so that it is never stale. It comes back bit for bit, before dropout, which is drawn
    anew. Of a biLM of width 256 and three layers a token takes 3 KB; of `glomo_en_sm` a text of n words takes 128 n²
    bytes.

    tok2vec (Model): One frozen model: `Elmo.v1`, `MogrifierLM.v1`, or `GlomoGraph.v1` as the graph of
        `GraphTransfer.v1`. Of `Elmo.v1` the layers are kept, and their mixture learns as ever. `WordVectors.v1` and
        `UniformGraph.v1` stay as they are: nothing is saved by keeping what is looked up.
    max_mb (int): Room in memory, in units of 2**20 bytes. What is there when it is full stays there. 0: none.
    path (Optional[str]): A folder to keep results in as well, for later runs and other processes: seeds, sizes and
        tasks over the same texts share it. Each result is a safetensors file; a damaged one is made again.
    max_disk_mb (int): Room in the folder. When it is full, results of other weights make room, then no more is kept.
    in_training_only (bool): A pipeline that was loaded keeps nothing when it predicts: new texts would only fill the
        memory. False: it does, for texts that come again and again.
    RETURNS (Model): The model it was given, so that its outputs, their width and what is stored of it are the same.
        The cache is neither stored nor pickled; copies of the model in the same process share it.
    RAISES: ValueError G126 for a model that learns, G127 for any other model, G128 for an `Elmo.v1` with state
        "carry", G101 for a size below 0.
    """
    if tok2vec.name in _LOOKED_UP:
        return tok2vec
    shim = tok2vec.shims[0] if tok2vec.shims else None
    network = shim.network if isinstance(shim, PretrainedShim) else None
    sentences = "ignore"
    if isinstance(network, (ElmoNetwork, MogrifierNetwork)):
        _check_frozen(tok2vec.name, network)
        sentences = network.settings.sentences
    elif not isinstance(network, FrozenNetwork):
        raise ValueError(Errors.G127.format(found=tok2vec.name))
    settings = CacheSettings(max_mb, path, max_disk_mb, in_training_only, sentences)
    tok2vec.shims.append(CacheShim(FeatureCache(settings)))
    return tok2vec


def _check_frozen(name: str, network: Union[ElmoNetwork, MogrifierNetwork]) -> None:
    settings = network.settings
    if settings.trainable:
        raise ValueError(Errors.G126.format(name=name, setting="trainable = true", remedy="trainable = false"))
    if isinstance(settings, ElmoSettings) and settings.state == "carry":
        raise ValueError(Errors.G128)
