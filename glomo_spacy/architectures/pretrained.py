"""Networks that bring their weights with them: read when the model is built, stored with the pipeline.

`pretrained` is a packaged name, a checkpoint directory or null. If it cannot be read, building the model still works
and the reason is raised at first use: a saved pipeline, whose stored weights replace whatever was read, needs neither
name nor path. Weights, config, indexer and vocabulary travel together as one safetensors block; nothing is unpickled.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, TypeVar, cast

import torch
from thinc.api import Optimizer
from thinc.shims import PyTorchShim
from thinc.types import FloatsXd
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from ..errors import Errors
from ..indexers import WordIndexer
from ..models.checkpoint import Checkpoint, build_model, checkpoint_from_bytes, checkpoint_to_bytes, read_checkpoint
from ..models.packaged import PACKAGED, find_weights


class PretrainedNetwork(nn.Module):
    """A network that came with a checkpoint, or the reason why there is none.

    It stays in evaluation mode, so that threads may share it, and is copied and pickled by way of its checkpoint. A
    subclass is made from one argument of its own, then these.

    kind (str): The kind of checkpoint that is needed, now and for stored weights, e.g. "glomo".
    checkpoint (Optional[Checkpoint]): Weights, config and vocabulary. None: there are none yet.
    source (str): Where it comes from, for errors.
    problem (str): Why there are none; raised at first use.
    RAISES: ValueError G203 for another kind, G202 if the weights do not fit their config.
    """

    def __init__(
        self,
        kind: str,
        checkpoint: Optional[Checkpoint] = None,
        *,
        source: str = "the stored weights",
        problem: str = "",
    ) -> None:
        super().__init__()
        self.kind = kind
        self.problem = problem
        self._network: Optional[nn.Module] = None
        if checkpoint is not None:
            if checkpoint.kind != kind:
                raise ValueError(Errors.G203.format(path=source, found=checkpoint.kind, expected=kind))
            self._network = build_model(checkpoint, source=source)
            # The network holds the weights from here on; their types are kept, so that fp16 is stored as fp16 again.
            self._dtypes: Dict[str, torch.dtype] = {name: tensor.dtype for name, tensor in checkpoint.state.items()}
            self._checkpoint = replace(checkpoint, state={})
        super().train(False)

    @property
    def given(self) -> Any:
        """The argument a subclass is made from."""
        return self.kind

    @property
    def has_weights(self) -> bool:
        """Whether there is a network."""
        return self._network is not None

    @property
    def network(self) -> Any:
        """The network itself. RAISES: ValueError G120 with the cause if there is none."""
        self._require()
        return self._network

    @property
    def device(self) -> torch.device:
        """Where its weights are. RAISES: ValueError G120 with the cause if there are none."""
        return next(iter(self.network.parameters())).device

    def weights(self) -> Dict[str, Tensor]:
        """What is stored, by name: the state of the network and what a subclass adds to it."""
        state: Dict[str, Tensor] = self.network.state_dict()
        return state

    def train(self, mode: bool = True) -> "PretrainedNetwork":
        """Stay in evaluation mode: a switch around every call, as Thinc's shim makes it, is seen by other threads."""
        return self

    def rate(self, name: str) -> float:
        """Learning rate of a parameter, by its name here, relative to that of the optimizer."""
        return 1.0

    def count_update(self) -> None:
        """An update of whatever took a gradient has ended."""

    def to_bytes(self) -> bytes:
        """Everything as one safetensors block, weights in the types they came in; empty if there are none."""
        return b"" if self._network is None else self._with(self.weights())

    def network_to_bytes(self) -> bytes:
        """The same without what a subclass adds to the network. RAISES: ValueError G120 without weights."""
        return self._with(self.network.state_dict())

    def __reduce__(self) -> Tuple[Callable[..., "PretrainedNetwork"], Tuple[type, Any, bytes, str]]:
        return _rebuild, (type(self), self.given, self.to_bytes(), self.problem)

    def _with(self, weights: Dict[str, Tensor]) -> bytes:
        state = {name: _as_stored(tensor, self._dtypes.get(name)) for name, tensor in weights.items()}
        return checkpoint_to_bytes(replace(self._checkpoint, state=state))

    def _require(self) -> None:
        if self._network is None:
            packaged = ", ".join(packaged_names()) or "none in this installation"
            raise ValueError(Errors.G120.format(reason=self.problem, packaged=packaged))


class FrozenNetwork(PretrainedNetwork):
    """A pretrained network over the words of a closed vocabulary that takes no gradient.

    kind, checkpoint, about: As for `PretrainedNetwork`.
    RAISES: As there; ValueError G001 or G003 if the indexer does not fit.
    """

    def __init__(self, kind: str, checkpoint: Optional[Checkpoint] = None, **about: str) -> None:
        super().__init__(kind, checkpoint, **about)
        if checkpoint is not None:
            self.network.requires_grad_(False)
            self._indexer = WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab or [])

    @property
    def indexer(self) -> WordIndexer:
        """How words become its ids. RAISES: ValueError G120 with the cause if there is none."""
        self._require()
        return self._indexer


NetworkT = TypeVar("NetworkT", bound=PretrainedNetwork)


def read_pretrained(pretrained: Optional[str], network: Callable[..., NetworkT]) -> NetworkT:
    """Read the weights an architecture's `pretrained` names; whatever goes wrong is kept for first use.

    pretrained (Optional[str]): A packaged name, a checkpoint directory, or None for weights that will be loaded.
    network (Callable[..., NetworkT]): Makes the network: a subclass of `PretrainedNetwork` with its own argument given.
    RETURNS (NetworkT): Ready for use, or holding the reason why it is not.
    """
    try:
        path = find_pretrained(pretrained)
        return network(read_checkpoint(path), source=str(path))
    except Exception as error:  # whatever a damaged file leads to: a saved pipeline must load all the same
        return network(problem=str(error))


def find_pretrained(pretrained: Optional[str]) -> Path:
    """The checkpoint directory of a packaged name or path; a packaged name wins over a folder of that name.

    RAISES: ValueError G121 for None; FileNotFoundError G122 if there is no such directory.
    """
    return find_weights(pretrained, packaged=PACKAGED)


def packaged_names() -> List[str]:
    """The checkpoints that come with the package."""
    return sorted(path.parent.name for path in PACKAGED.glob("*/config.cfg"))


class PretrainedShim(PyTorchShim):
    """Holds a `PretrainedNetwork` inside a Thinc model, which stores, copies and moves it between devices.

    `nlp.update` asks for the update of a tok2vec between its forward and its backward pass. Weights that change there
    would spoil the gradients, so the update waits for the end of the backward pass.

    network (PretrainedNetwork): What it holds.
    """

    def __init__(self, network: PretrainedNetwork) -> None:
        super().__init__(network, serialize_model=PretrainedNetwork.to_bytes, deserialize_model=_restore)
        self._is_between = False
        self._waiting: Optional[Optimizer] = None

    @property
    def network(self) -> Any:
        """What it holds now: stored weights may have replaced what it began with."""
        return self._model

    def begin_pass(self) -> None:
        """A forward pass with gradients begins."""
        self.end_pass()
        self._is_between = True

    def end_pass(self) -> None:
        """Its backward pass has ended, or never comes."""
        optimizer, self._waiting, self._is_between = self._waiting, None, False
        if optimizer is not None:
            self.finish_update(optimizer)

    def finish_update(self, optimizer: Optimizer) -> None:
        """Update what took a gradient, if anything did."""
        if self._is_between:
            self._waiting = optimizer
            return
        network = self.network

        def at_own_rate(key: Tuple[int, str], weights: FloatsXd, gradient: FloatsXd) -> Tuple[FloatsXd, FloatsXd]:
            return optimizer(key, weights, gradient, lr_scale=network.rate(key[1]))

        super().finish_update(cast(Optimizer, at_own_rate))
        # Thinc writes through numpy, which torch does not notice; whoever keeps results of the old weights must.
        increment_version([parameter for parameter in self._model.parameters() if parameter.requires_grad])
        network.count_update()

    def __reduce__(self) -> Tuple[Callable[..., "PretrainedShim"], Tuple[PretrainedNetwork]]:
        return PretrainedShim, (self.network,)  # Thinc's own shim holds tensors, whose pickles load by torch.load


def _restore(current: PretrainedNetwork, data: bytes, device: torch.device) -> PretrainedNetwork:
    """Stored weights replace what was read; a pipeline stored without weights leaves it."""
    return _rebuild(type(current), current.given, data, "").to(device) if data else current


def _rebuild(network: Callable[..., PretrainedNetwork], given: Any, data: bytes, problem: str) -> PretrainedNetwork:
    return network(given, checkpoint_from_bytes(data) if data else None, problem=problem)


def _as_stored(tensor: Tensor, dtype: Optional[torch.dtype]) -> Tensor:
    """In the type it came in, as long as that still holds its values: training takes half precision beyond its grid."""
    tensor = tensor.detach().cpu().contiguous()
    stored = tensor if dtype is None else tensor.to(dtype)
    return stored if torch.equal(stored.to(tensor.dtype), tensor) else tensor
