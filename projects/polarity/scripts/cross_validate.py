"""Train a config by stock `spacy train` once for each fold, and keep the scores on what was held out.

    python scripts/cross_validate.py configs/elmo.cfg training/elmo --folds 10 --paths.elmo elmo_en_sm

Further options override the config, as for `spacy train`. Only the pipeline of the first fold is kept.
"""

import json
import shutil
import time
from pathlib import Path
from typing import Any, Dict

import typer
from spacy.cli._util import parse_config_overrides
from spacy.cli.train import train

from glomo_spacy.cli import clear_errors

SCORE = "cats_micro_f"  # the accuracy, where every text has one class and gets one
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def main(
    context: typer.Context,
    config: Path = typer.Argument(..., help="Config of a pipeline", exists=True, dir_okay=False),
    output: Path = typer.Argument(..., help="Folder for scores.json and the pipeline of the first fold"),
    folds: int = typer.Option(10, help="Run so many folds, from the first on"),
    n_folds: int = typer.Option(10, help="The data are cut into so many folds"),
    seed: int = typer.Option(0, help="Seed of the first fold; each further one counts up"),
    gpu_id: int = typer.Option(-1, help="-1 for the CPU"),
) -> None:
    """Run the folds one after another."""
    shutil.rmtree(output, ignore_errors=True)
    overrides = {**parse_config_overrides(list(context.args)), "corpora.train.n_folds": n_folds}
    runs: Dict[str, Any] = {"config": config.name, "overrides": overrides, "seed": seed, "accuracy": [], "seconds": []}
    for fold in range(folds):
        begin = time.process_time()
        folder = output / f"fold-{fold}"
        own = {"corpora.train.fold": fold, "system.seed": seed + fold}
        train(config, folder, use_gpu=gpu_id, overrides={**overrides, **own})
        runs["accuracy"].append(read_score(folder))
        runs["seconds"].append(round(time.process_time() - begin, 1))
        (output / "scores.json").write_text(json.dumps(runs, indent=2) + "\n", encoding="utf8")
        keep_only_first(folder, output / "model", is_first=fold == 0)
    print(f"✔ {output}: accuracy {', '.join(f'{100 * score:.2f}' for score in runs['accuracy'])}")


def read_score(folder: Path) -> float:
    """Accuracy after the last step, from what `spacy train` stored with the pipeline."""
    meta = json.loads((folder / "model-last" / "meta.json").read_text(encoding="utf8"))
    score: float = meta["performance"][SCORE]
    return score


def keep_only_first(folder: Path, kept: Path, *, is_first: bool) -> None:
    """Ten pipelines with word vectors are a gigabyte: one is enough to look at."""
    if is_first:
        (folder / "model-last").rename(kept)
    shutil.rmtree(folder)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False)
    app.command(context_settings=CONTEXT, help=__doc__)(main)
    with clear_errors():
        app()
