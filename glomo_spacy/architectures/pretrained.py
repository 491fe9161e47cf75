"""Networks that bring their weights with them: read when the model is built, stored with the pipeline.

`pretrained` is a packaged name, a checkpoint directory or null. If it cannot be read, building the model still works
and the reason is raised at first use: a saved pipeline, whose stored weights replace whatever was read, needs neither
name nor path. Weights, config, indexer and vocabulary travel together as one safetensors block; nothing is unpickled.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from thinc.shims import PyTorchShim
from torch import nn

from ..errors import Errors
from ..indexers import WordIndexer
from ..models.checkpoint import Checkpoint, build_model, checkpoint_from_bytes, checkpoint_to_bytes, read_checkpoint

PACKAGED = Path(__file__).parent.parent / "weights"


class FrozenNetwork(nn.Module):
    """A network in evaluation mode with its indexer, or the reason why there is none.

    It takes no gradient and cannot be put into training mode, so that threads may share it; it is copied and pickled by
    way of its checkpoint.

    kind (str): The kind of checkpoint that is needed, now and for stored weights, e.g. "glomo".
    checkpoint (Optional[Checkpoint]): Weights, config and vocabulary. None: there are none yet.
    source (str): Where it comes from, for errors.
    problem (str): Why there are none; raised at first use.
    RAISES: ValueError G203 for another kind, G202 if the weights do not fit their config, G001 or G003 if the indexer
        does not fit.
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
        self._problem = problem
        self._network: Optional[nn.Module] = None
        if checkpoint is not None:
            if checkpoint.kind != kind:
                raise ValueError(Errors.G203.format(path=source, found=checkpoint.kind, expected=kind))
            self._network = build_model(checkpoint, source=source).requires_grad_(False)
            self._indexer = WordIndexer.from_config(checkpoint.indexer, checkpoint.vocab or [])
            # The network holds the weights from here on; their types are kept, so that fp16 is stored as fp16 again.
            self._dtypes: Dict[str, torch.dtype] = {name: tensor.dtype for name, tensor in checkpoint.state.items()}
            self._checkpoint = replace(checkpoint, state={})
        super().train(False)

    @property
    def network(self) -> Any:
        """The network itself. RAISES: ValueError G120 with the cause if there is none."""
        self._require()
        return self._network

    @property
    def indexer(self) -> WordIndexer:
        """How words become its ids. RAISES: ValueError G120 with the cause if there is none."""
        self._require()
        return self._indexer

    @property
    def device(self) -> torch.device:
        """Where its weights are. RAISES: ValueError G120 with the cause if there are none."""
        return next(iter(self.network.parameters())).device

    def train(self, mode: bool = True) -> "FrozenNetwork":
        """Stay in evaluation mode: a switch around every call, as Thinc's shim makes it, is seen by other threads."""
        return self

    def to_bytes(self) -> bytes:
        """Everything as one safetensors block, weights in the types they came in; empty if there are none."""
        if self._network is None:
            return b""
        weights = self._network.state_dict()
        state = {name: tensor.to("cpu", self._dtypes[name]).contiguous() for name, tensor in weights.items()}
        return checkpoint_to_bytes(replace(self._checkpoint, state=state))

    def __reduce__(self) -> Tuple[Callable[..., "FrozenNetwork"], Tuple[str, bytes, str]]:
        return _rebuild, (self.kind, self.to_bytes(), self._problem)

    def _require(self) -> None:
        if self._network is None:
            packaged = ", ".join(packaged_names()) or "none in this installation"
            raise ValueError(Errors.G120.format(reason=self._problem, packaged=packaged))


def read_pretrained(pretrained: Optional[str], *, kind: str) -> FrozenNetwork:
    """Read the weights an architecture's `pretrained` names; whatever goes wrong is kept for first use.

    pretrained (Optional[str]): A packaged name, a checkpoint directory, or None for weights that will be loaded.
    kind (str): The kind of checkpoint the architecture needs, e.g. "glomo".
    RETURNS (FrozenNetwork): Ready for use, or holding the reason why it is not.
    """
    try:
        path = find_pretrained(pretrained)
        return FrozenNetwork(kind, read_checkpoint(path), source=str(path))
    except Exception as error:  # whatever a damaged file leads to: a saved pipeline must load all the same
        return FrozenNetwork(kind, problem=str(error))


def find_pretrained(pretrained: Optional[str]) -> Path:
    """The checkpoint directory of a packaged name or path; a packaged name wins over a folder of that name.

    RAISES: ValueError G121 for None; FileNotFoundError G122 if there is no such directory.
    """
    if pretrained is None:
        raise ValueError(Errors.G121)
    for path in (PACKAGED / pretrained, Path(pretrained)):
        if path.is_dir():
            return path
    raise FileNotFoundError(Errors.G122.format(value=pretrained))


def packaged_names() -> List[str]:
    """The checkpoints that come with the package."""
    return sorted(path.parent.name for path in PACKAGED.glob("*/config.cfg"))


class FrozenShim(PyTorchShim):
    """Holds a `FrozenNetwork` inside a Thinc model, which stores, copies and moves it between devices.

    There is nothing to update: optimisers and averaged parameters pass it by.

    network (FrozenNetwork): What it holds.
    """

    def __init__(self, network: FrozenNetwork) -> None:
        super().__init__(network, serialize_model=FrozenNetwork.to_bytes, deserialize_model=_restore)

    @property
    def network(self) -> FrozenNetwork:
        """What it holds now: stored weights may have replaced what it began with."""
        held: FrozenNetwork = self._model
        return held

    def __reduce__(self) -> Tuple[Callable[..., "FrozenShim"], Tuple[FrozenNetwork]]:
        return FrozenShim, (self.network,)  # Thinc's own shim holds tensors, whose pickles load by torch.load


def _restore(current: FrozenNetwork, data: bytes, device: torch.device) -> FrozenNetwork:
    """Stored weights replace what was read; a pipeline stored without weights leaves it."""
    return _rebuild(current.kind, data, "").to(device) if data else current


def _rebuild(kind: str, data: bytes, problem: str) -> FrozenNetwork:
    checkpoint = checkpoint_from_bytes(data) if data else None
    return FrozenNetwork(kind, checkpoint, problem=problem)
