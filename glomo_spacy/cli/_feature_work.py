"""Make the missing shards of a folder of features, in this process or in several."""

import multiprocessing
import queue
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Sequence

from ..errors import Errors
from ._feature_folder import FeatureFolder, Shard

if TYPE_CHECKING:
    from ..embedder import Embedder

_PATIENCE = 0.2  # seconds between looks at whether all processes are alive
_TIME_TO_END = 2.0  # seconds a process has to remove its unfinished file before it is asked again


def make_shards(
    folder: FeatureFolder,
    shards: Sequence[Shard],
    *,
    embedder: "Embedder",
    n_process: int = 1,
    progress: Callable[[int], Any] = lambda n_tokens: None,
) -> None:
    """Make shards, each whole or not at all.

    folder (FeatureFolder): Where they stand.
    shards (Sequence[Shard]): Those that are missing.
    embedder (Embedder): Makes them. Other processes load their own, from the same place for the same device.
    n_process (int): Processes that share them. The files are the same for any number.
    progress (Callable[[int], Any]): Called with numbers of tokens.
    RAISES: As `FeatureFolder.make`; G051 (RuntimeError) if a process ended.
    """
    n_process = min(n_process, len(shards))
    if n_process <= 1:
        _make_all(folder, shards, embedder=embedder, progress=progress)
        return
    # Spawned, since a forked process inherits locks held by threads that it does not have.
    spawn = multiprocessing.get_context("spawn")
    messages = spawn.Queue()
    source = (folder.path, str(embedder.directory), embedder.state, embedder.device)
    shares = [list(shards[start::n_process]) for start in range(n_process)]
    workers = [spawn.Process(target=_work, args=(*source, share, messages), daemon=True) for share in shares]
    try:
        for worker in workers:
            worker.start()
        _listen(workers, messages, progress)
    finally:
        _end(workers)


def _make_all(
    folder: FeatureFolder, shards: Sequence[Shard], *, embedder: "Embedder", progress: Callable[[int], Any]
) -> None:
    with _one_thread():
        for shard in shards:
            embedder.reset()  # vectors of words that other shards computed would change the last bits
            folder.make(shard, embedder=embedder, progress=progress)


def _work(path: Path, model: str, state: str, device: str, shards: List[Shard], messages: Any) -> None:
    """What another process does. It leaves Ctrl-C to the main one, which then ends it."""
    from ..embedder import Embedder

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that an unfinished file is removed
    try:
        embedder = Embedder(model, state=state, device=device)
        _make_all(FeatureFolder(path), shards, embedder=embedder, progress=messages.put)
    except Exception as error:
        messages.put(error)


def _listen(workers: Sequence[Any], messages: Any, progress: Callable[[int], Any]) -> None:
    """Pass on what other processes report until all have ended; an error of one is raised here."""
    while True:
        alive = any(worker.is_alive() for worker in workers)
        try:
            message = messages.get(timeout=_PATIENCE)
        except queue.Empty:
            failed = [worker.exitcode for worker in workers if worker.exitcode]
            if failed:
                raise RuntimeError(Errors.G051.format(code=failed[0])) from None
            if not alive:
                return
            continue
        if isinstance(message, Exception):
            raise message
        progress(message)


def _end(workers: Sequence[Any]) -> None:
    """End processes and wait for it. One asked within a library's callback, which swallows the exit, is asked again."""
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(_TIME_TO_END)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The order in which several threads add numbers would change the last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
