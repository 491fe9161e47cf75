"""What is computed from a network's parameters once and kept until they change.

Where parameters live and torch's count of changes tell most of a change. An optimiser of Thinc, and whoever writes to
`parameter.data`, leave both as they are, so some numbers of each parameter are compared too, and all of them as long as
there are gradients, because then something is being trained.
"""

from typing import Any, Callable, Generic, List, Optional, Sequence, Tuple, TypeVar

import torch
from torch import Tensor, nn

_PROBED = 1 << 10  # numbers of a parameter that are compared at each use

T = TypeVar("T")


class ParameterWatch:
    """Tells whether parameters are still what they were.

    parameters (Sequence[Tensor]): Looked at now and at each question; not held.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._marks = _marks(parameters)
        self._probe = _probe(parameters)
        self._copy = [each.detach().clone() for each in parameters] if is_in_training(parameters) else []

    def is_unchanged(self, parameters: Sequence[Tensor]) -> bool:
        """Whether no parameter has changed, nor the precision they are used in."""
        if _marks(parameters) != self._marks or not torch.equal(_probe(parameters), self._probe):
            return False
        if not is_in_training(parameters):
            return True
        # Without a copy the first gradients have come since.
        return bool(self._copy) and all(map(torch.equal, self._copy, parameters))


class Derived(Generic[T]):
    """One thing computed from a network's parameters. Copies and pickles of it begin empty.

    Threads may share it: at worst they compute the thing twice.
    """

    def __init__(self) -> None:
        self._kept: Optional[Tuple[ParameterWatch, Any, T]] = None

    def __reduce__(self) -> Tuple[Any, Tuple[()]]:
        return Derived, ()

    def get(self, network: nn.Module, settings: Any, make: Callable[[], T]) -> T:
        """The thing, made anew if parameters or settings have changed, and at each use while there are gradients.

        network (nn.Module): On whose parameters it depends.
        settings (Any): What else it depends on; compared by `==`.
        make (Callable[[], T]): Computes it.
        """
        parameters = list(network.parameters())
        if is_in_training(parameters):
            self._kept = None
            return make()
        kept = self._kept
        if kept is None or kept[1] != settings or not kept[0].is_unchanged(parameters):
            kept = self._kept = (ParameterWatch(parameters), settings, make())
        return kept[2]


def is_in_training(parameters: Sequence[Tensor]) -> bool:
    """Whether any parameter has a gradient, be it zero."""
    return any(each.grad is not None for each in parameters)


def _marks(parameters: Sequence[Tensor]) -> List[Any]:
    """Where each parameter lives, how often torch has seen it change, and the precision it is used in."""
    device = parameters[0].device.type if parameters else "cpu"
    precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
    return [precision, *((each.data_ptr(), each._version, each.dtype, each.device) for each in parameters)]


def _probe(parameters: Sequence[Tensor]) -> Tensor:
    """Some numbers of each parameter, evenly spread."""
    flat = [each.detach().reshape(-1) for each in parameters]
    return torch.cat([values[:: max(len(values) // _PROBED, 1)] for values in flat]) if flat else torch.empty(0)
