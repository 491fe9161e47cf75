"""Make the missing shards of a folder of features, in this process or in several."""

import multiprocessing
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, Sequence

from ..errors import Errors
from ._feature_folder import FeatureFolder, Shard
from ._workers import one_thread, run_workers

if TYPE_CHECKING:
    from ..embedder import Embedder


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
    run_workers(workers, messages, progress, error=Errors.G051)


def _make_all(
    folder: FeatureFolder, shards: Sequence[Shard], *, embedder: "Embedder", progress: Callable[[int], Any]
) -> None:
    with one_thread():
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
