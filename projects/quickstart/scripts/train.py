"""Train a config by stock `spacy train` once for each seed, several at a time where there are several cores.

    python scripts/train.py configs/elmo.cfg training/elmo --seeds 1,2,3 --paths.elmo elmo_en_sm

Further options override the config, as for `spacy train`. The pipelines are the same for any number of processes.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import List, Sequence

import typer

from glomo_spacy.cli import clear_errors

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def main(
    context: typer.Context,
    config: Path = typer.Argument(..., help="Config of a pipeline", exists=True, dir_okay=False),
    output: Path = typer.Argument(..., help="Folder for a folder of each seed"),
    seeds: str = typer.Option("1,2,3", help="Seeds, with commas between them"),
    n_process: int = typer.Option(-1, help="Processes that share the seeds, -1 for one a core"),
) -> None:
    """Share the seeds among processes, each of which is this script with one process for its own."""
    numbers = read_seeds(seeds)
    n_process = min(len(numbers), (os.cpu_count() or 1) if n_process == -1 else n_process)
    if n_process <= 1:
        train_all(config, output, seeds=numbers, overrides=context.args)
        return
    print(f"Training with seeds {seeds} in {n_process} processes", flush=True)
    script = [sys.executable, __file__, str(config), str(output), "--n-process", "1"]
    shares = [numbers[start::n_process] for start in range(n_process)]
    run_beside([[*script, "--seeds", ",".join(map(str, share)), *context.args] for share in shares])


def read_seeds(text: str) -> List[int]:
    """Whole numbers, from the command line."""
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"{text!r} are not whole numbers with commas between them.") from None


def train_all(config: Path, output: Path, *, seeds: Sequence[int], overrides: List[str]) -> None:
    """Train one after another, each as `spacy train` does."""
    from spacy.cli._util import parse_config_overrides
    from spacy.cli.train import train

    for seed in seeds:
        train(config, output / str(seed), overrides={**parse_config_overrides(list(overrides)), "system.seed": seed})


def run_beside(commands: Sequence[List[str]]) -> None:
    """Run commands at the same time, and show what each printed once it has ended, so that no lines mix.

    RAISES: SystemExit with the status of the first that failed; the others are ended.
    """
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for command in commands]
    try:
        for command, worker in zip(commands, workers):
            printed, _ = worker.communicate()
            print(printed.decode("utf8", errors="replace"), end="", flush=True)
            if worker.returncode:
                print(f"Failed: {shlex.join(command)}", flush=True)
                sys.exit(worker.returncode)
    finally:
        for worker in workers:
            worker.kill()


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings=CONTEXT, help=__doc__)(main)
    with clear_errors():
        app()
