"""Rows of tokens from a pretrained network as a Thinc model: what `Elmo.v1` and `MogrifierLM.v1` share."""

from functools import partial
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, Type, TypeVar, cast

import torch
from spacy.tokens import Doc
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d
from torch import Tensor
from torch.nn import functional as F

from .feature_cache import cache_in
from .fine_tuning import FineTuning
from .pretrained import PretrainedNetwork, PretrainedShim, read_pretrained
from .sentence_watch import SentenceWatch
from .types import DocBackprop, DocRows, FeatureModel


class FeatureNetwork(PretrainedNetwork):
    """A pretrained network that gives each token of a Doc a row. It counts updates from when it was built or loaded."""

    watch: Optional[SentenceWatch] = None  # of what goes by sentence where there are sentences
    sample: Optional[List[Doc]] = None  # of initialisation, if sentences are required: nothing has set them yet
    _tuning: Optional[FineTuning] = None
    _n_updates = 0

    @property
    def width(self) -> int:
        """Of a row. RAISES: ValueError G120 without weights."""
        raise NotImplementedError

    def rows(self, docs: Sequence[Doc], *, is_train: bool) -> Tensor:
        """Doc after Doc; rows of whitespace are 0. Shape: (tokens, width).

        is_train (bool): Keep the graph of whatever is trainable.
        RAISES: ValueError G120 without weights.
        """
        raise NotImplementedError

    def states(self, docs: Sequence[Doc]) -> Tensor:
        """What rows are made of that no training changes as long as the network is frozen. Shape: (tokens, any).

        RAISES: As `rows`.
        """
        return self.rows(docs, is_train=False)

    def rows_of(self, states: Tensor) -> Tensor:
        """Rows, with the graph of what is learned beside the network. Shape: (tokens, width).

        states (Tensor): From `states`. Shape: (tokens, any).
        """
        return states

    def penalty(self) -> Optional[Tensor]:
        """What training minimises beside the task's loss; None for nothing."""
        return None

    @property
    def requires_sentences(self) -> bool:
        """Whether it insists on sentence boundaries."""
        return False

    @property
    def is_learning(self) -> bool:
        """Whether a layer of the network itself takes gradients now. RAISES: ValueError G120 without weights."""
        return any(parameter.requires_grad for parameter in self.network.parameters())

    def fine_tune(self, tuning: Optional[FineTuning]) -> None:
        """Let the network's layers learn, each at its rate and from its update on.

        tuning (Optional[FineTuning]): None: nothing learns.
        RAISES: ValueError G115 if it names more layers than there are.
        """
        if tuning is not None:
            tuning.check_layers(self.network.config.n_layers)
        self._tuning = tuning
        self._unfreeze()

    def rate(self, name: str) -> float:
        """That of its layer; 1 for what was added to the network."""
        is_own = name.startswith("_network.")
        return self._tuning.rate(name, self.network.config.n_layers) if self._tuning and is_own else 1.0

    def count_update(self) -> None:
        """Let those layers learn whose time has come."""
        self._n_updates += 1
        if self._tuning and self._tuning.unfreeze:
            self._unfreeze()

    def _unfreeze(self) -> None:
        n_layers = self.network.config.n_layers
        for name, parameter in self.network.named_parameters():
            learns = self._tuning is not None and self._tuning.learns(name, n_layers, n_updates=self._n_updates)
            parameter.requires_grad_(learns)


NetworkT = TypeVar("NetworkT", bound=FeatureNetwork)


class _PretrainedModel(Model[List[Doc], DocRows]):
    """A Thinc model whose width is that of its weights, also if stored ones replace others of another width."""

    def set_dim(self, name: str, value: int, *, force: bool = False) -> None:
        """Take the new width, which Thinc itself does not allow."""
        super().set_dim(name, value, force=True)


def make_feature_model(
    name: str,
    pretrained: Optional[str],
    network: Callable[..., FeatureNetwork],
    *,
    width: Optional[int],
    dropout: float,
) -> FeatureModel:
    """A Thinc model around the network that `pretrained` names.

    name (str): Of the model.
    pretrained, network: As for `read_pretrained`.
    width (Optional[int]): As the config has it; what weights say comes first.
    dropout (float): Rate on the rows, in training only.
    """
    made = read_pretrained(pretrained, network)
    width = made.width if made.has_weights else width
    attrs = {"dropout_rate": dropout, "replace_listener_cfg": partial(_own_config, pretrained, width)}
    return _PretrainedModel(name, _forward, init=_init, dims={"nO": width}, attrs=attrs, shims=[PretrainedShim(made)])


def network_in(model: FeatureModel, kind: Type[NetworkT], *, error: str) -> NetworkT:
    """The network in a model of `make_feature_model`.

    error (str): The message, still without `found`, if the model holds no such network.
    RAISES: ValueError with that message.
    """
    shim = model.shims[0] if model.shims else None
    network = shim.network if isinstance(shim, PretrainedShim) else None
    if not isinstance(network, kind):
        raise ValueError(error.format(found=model.name))
    return network


def by_doc(rows: Tensor, docs: Sequence[Doc]) -> DocRows:
    """Cut into Docs; copies, so that a Doc does not hold its whole batch in memory."""
    return [cast(Floats2d, torch2xp(part.clone())) for part in rows.split([len(doc) for doc in docs])]


def _init(model: FeatureModel, X: Optional[List[Doc]] = None, Y: Optional[DocRows] = None) -> None:
    """The weights stay. Layers around take the width from the rows of the sample, whose sentences nothing has set."""
    network: FeatureNetwork = cast(PretrainedShim, model.shims[0]).network
    network.sample = X if network.requires_sentences else None


def _forward(model: FeatureModel, docs: List[Doc], is_train: bool) -> Tuple[DocRows, DocBackprop]:
    """Rows of all tokens; the gradient reaches what is trainable."""
    shim = cast(PretrainedShim, model.shims[0])
    network: FeatureNetwork = shim.network
    if network.sample is not None:
        if docs is network.sample and not is_train:
            return [model.ops.alloc2f(len(doc), network.width) for doc in docs], lambda d_rows: []
        network.sample = None
    if network.watch is not None:
        network.watch.look(docs, name=model.name, is_train=is_train)
    if is_train:
        shim.begin_pass()
    cache = cache_in(model, is_train=is_train)
    if cache is None:
        rows = network.rows(docs, is_train=is_train)  # (tokens, width)
    else:
        states = cache.states(network, docs, network.states)
        with torch.set_grad_enabled(is_train):
            rows = network.rows_of(states)
    if is_train:
        rows = F.dropout(rows, model.attrs["dropout_rate"])

    def backprop(d_rows: DocRows) -> List[Doc]:
        if rows.requires_grad:
            gradient = xp2torch(model.ops.flatten(d_rows), device=rows.device)
            total, penalty = (rows * gradient).sum(), network.penalty()
            (total if penalty is None else total + penalty).backward()
        shim.end_pass()
        return []

    return by_doc(rows.detach(), docs), backprop


def _own_config(
    pretrained: Optional[str], width: Optional[int], config: Dict[str, Any], listener: Any
) -> Dict[str, Any]:
    """What stands in a config where a listener was replaced: the section names what was read, and its width."""
    if "tok2vec" in config:  # the section of Cached.v1, with this model's inside
        return {**config, "tok2vec": _own_config(pretrained, width, config["tok2vec"], listener)}
    return {**config, "pretrained": pretrained, "width": width}
