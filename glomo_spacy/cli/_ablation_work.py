"""Find the missing cells of an ablation and make them, in this process or in several."""

import multiprocessing
import os
import signal
import sys
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple

from confection import Config

from ..errors import Errors
from ._ablation_cell import CONFIG, Job, is_made, make_cell, read_result
from ._ablation_plan import Ablation, Cell
from ._report import flat_rows
from ._workers import run_workers

Report = Callable[[Job, Optional[str]], Any]

_MOST_CHANGES = 4  # that an error names

# What spaCy reads of a config. Other sections, [paths] among them, matter only where something refers to them.
_SECTIONS = ("nlp", "components", "corpora", "training", "pretraining", "initialize")


def find_missing(
    ablation: Ablation,
    cells: Sequence[Cell],
    *,
    output: Path,
    force: bool = False,
    keep_model: bool = False,
    code: Optional[Path] = None,
    use_gpu: int = -1,
) -> List[Job]:
    """What is left to do.

    ablation (Ablation): Gives each cell its config.
    cells (Sequence[Cell]): What shall be there.
    output (Path): Folder of the ablation.
    force (bool): Finished cells with other settings are missing as well.
    keep_model, code, use_gpu: As for `Job`.
    RETURNS (List[Job]): In the order of the cells.
    RAISES: ValueError G975 with what differs if a finished cell had other settings and `force` is not set; else as
        `Ablation.config_of`.
    """
    jobs = []
    for cell in cells:
        job = Job(
            f"{cell.feature}, {100 * cell.size:g} %, seed {cell.seed}",
            output / cell.folder,
            config=ablation.config_of(cell).to_str(),
            test=ablation.section.test,
            evaluate=ablation.section.evaluate,
            scores=ablation.section.scores,
            keep_model=keep_model,
            code=code,
            use_gpu=use_gpu,
        )
        if not is_made(job.folder):
            jobs.append(job)
        elif changes := list(islice(_changes(job), _MOST_CHANGES)):
            if not force:
                raise ValueError(Errors.G975.format(path=job.folder, changes="; ".join(changes)))
            jobs.append(job)
    return jobs


def _changes(job: Job) -> Iterator[str]:
    """What would be different if a finished cell were made again."""
    result = read_result(job.folder)
    configs = Config().from_disk(job.folder / CONFIG), Config().from_str(job.config)
    before, after = (dict(flat_rows({name: config.get(name, {}) for name in _SECTIONS})) for config in configs)
    before |= {f"ablation.{name}": result[name] for name in ("test", "evaluate")}
    after |= {"ablation.test": job.test, "ablation.evaluate": job.evaluate}
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield f"{name} was {before.get(name, 'not set')}, is {after.get(name, 'not set')}"


def make_cells(jobs: Sequence[Job], *, report: Report, workers: int = 1) -> None:
    """Make cells, each whole or not at all. One that fails does not stop the others.

    jobs (Sequence[Job]): What to make, in this order.
    report (Callable[[Job, Optional[str]], Any]): Called after each, with the reason if it failed.
    workers (int): Processes that share the work, one thread each. >= 1. The scores are the same for any number.
    RAISES: G973 (RuntimeError) if a process ended before its time.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            report(job, make_cell(job))
        return
    # Spawned, since a forked process inherits locks held by threads that it does not have.
    spawn = multiprocessing.get_context("spawn")
    tasks, messages = spawn.Queue(), spawn.Queue()
    for place in [*range(len(jobs)), *[None] * workers]:
        tasks.put(place)
    processes = [spawn.Process(target=_work, args=(jobs, tasks, messages), daemon=True) for _ in range(workers)]

    def handle(message: Tuple[int, Optional[str]]) -> None:
        place, reason = message
        report(jobs[place], reason)

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # what the processes begin with
    run_workers(processes, messages, handle, error=Errors.G973)


def _work(jobs: Sequence[Job], tasks: Any, messages: Any) -> None:
    """What another process does. It leaves Ctrl-C to the main one, which then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for place in iter(tasks.get, None):
        messages.put((place, make_cell(jobs[place])))
