"""Training in processes of their own: killed in the middle, or several that share a batch as under `torchrun`.

The processes are forks of one that has loaded torch and done nothing else, which costs seconds once and not each time.
"""

import multiprocessing
import os
import signal
import socket
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from confection import Config

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["training.processes", "glomo_spacy.training.loop"])


def train_until_killed(config: Config, output: Path, *, step: int) -> None:
    """Train in a process that is killed in the middle of a step, without any chance to tidy up.

    step (int): Counted from 1.
    """
    process = _SERVER.Process(target=_train, args=(config.to_str(), str(output)), kwargs={"killed_at": step})
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL, f"the run ended with {process.exitcode} before it could be killed"


def train_in_two_processes(config: Config, output: Path) -> None:
    """Train as `torchrun --nproc_per_node 2` does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = []
    for rank in ("0", "1"):
        environment = {**shared, "RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test"}
        arguments = (config.to_str(), str(output))
        processes.append(_SERVER.Process(target=_train, args=arguments, kwargs={"environment": environment}))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]


def _train(
    config: str, output: str, *, environment: Optional[Dict[str, str]] = None, killed_at: Optional[int] = None
) -> None:
    """What each process does."""
    from glomo_spacy.training.loop import pretrain

    os.environ.update(environment or {})
    if killed_at is not None:
        _die_in_step(killed_at)
    pretrain(Config().from_str(config), output=Path(output))


def _die_in_step(step: int) -> None:
    """Let this process be killed by the gradients of a step."""
    original, n_calls = torch.Tensor.backward, 0

    def count(self: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        original(self, *args, **kwargs)
        if n_calls == step:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.Tensor.backward = count  # type: ignore[method-assign]
