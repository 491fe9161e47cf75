"""Lightning Fabric for this machine: the device, the precision, and the processes that `torchrun` started."""

import os
from importlib.util import find_spec
from inspect import signature
from typing import TYPE_CHECKING, Any, Dict, List, Tuple, Union

import torch
from torch.nn.parallel import DistributedDataParallel

from ..errors import Errors
from .config import System

__all__ = ["Fabric", "fabric_version", "launch_fabric", "to_device"]

if TYPE_CHECKING or find_spec("lightning_fabric"):
    from lightning_fabric import Fabric
    from lightning_fabric import __version__ as fabric_version
    from lightning_fabric.strategies import DDPStrategy, Strategy
else:  # the same code inside the larger package
    from lightning.fabric import Fabric
    from lightning.fabric import __version__ as fabric_version
    from lightning.fabric.strategies import DDPStrategy, Strategy

# Batch statistics are summed over processes, so buffers are equal without being sent. Later torch renamed the switch.
_HAS_NEW_NAME = "forward_sync_buffers" in signature(DistributedDataParallel).parameters
_SYNC_BUFFERS = "forward_sync_buffers" if _HAS_NEW_NAME else "broadcast_buffers"

PRECISIONS: Dict[str, Any] = {"32-true": "32-true", "bf16-mixed": "bf16-mixed"}


def launch_fabric(system: System) -> Fabric:
    """Set threads, device and precision, and join the other processes if there are any.

    system (System): The [system] section.
    RETURNS (Fabric): Launched. Under `torchrun` gradients are averaged over its processes.
    RAISES: ValueError G100 for an unknown precision, G314 for a device that is not there.
    """
    if system.precision not in PRECISIONS:
        options = ", ".join(PRECISIONS)
        raise ValueError(Errors.G100.format(name="system.precision", value=system.precision, options=options))
    if system.threads is not None:
        torch.set_num_threads(system.threads)
    accelerator, devices = _device(system.device)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    strategy: Union[str, Strategy] = "auto"
    n_nodes = 1
    if processes > 1:
        ddp_options: Dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
        strategy = DDPStrategy(**ddp_options)
        devices = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        n_nodes = processes // devices
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=n_nodes,
        strategy=strategy,
        precision=PRECISIONS[system.precision],
    )
    fabric.launch()
    return fabric


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy that overlaps with the GPU's work: from pinned memory, without waiting."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def _device(name: str) -> Tuple[str, Union[int, List[int]]]:
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count()
    if kind == "auto" and not index:
        kind = "gpu" if count else "cpu"
    is_known = kind == "cpu" and not index or kind == "gpu" and (index or "0").isdigit() and int(index or 0) < count
    if not is_known:
        raise ValueError(Errors.G314.format(device=name, count=count))
    return ("cpu", 1) if kind == "cpu" else ("cuda", [int(index or 0)])
