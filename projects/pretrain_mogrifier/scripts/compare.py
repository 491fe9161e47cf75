"""Mogrifier against LSTM: the same config, corpus and number of words for both, several seeds, one table.

    python scripts/compare.py train lstm CONFIG CORPUS --output training/compare --test wiki.test.tokens
    python scripts/compare.py table training/compare metrics/compare.json

Further options of `train` override the config, as for `glomo-spacy pretrain`; give each kind of cell the learning rate
that suits it. A seed whose figures are there is not trained again, and one that was stopped goes on.
"""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List

import typer
from wasabi import Printer

from glomo_spacy.cli import clear_errors
from glomo_spacy.cli.evaluate_lm import evaluate_mogrifier
from glomo_spacy.cli.pretrain import pretrain
from glomo_spacy.models import load_checkpoint
from glomo_spacy.training.resume import list_states

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}
FIGURES = "figures.json"

app = typer.Typer()


@app.command(context_settings=CONTEXT)
def train(
    context: typer.Context,
    cell: str = typer.Argument(..., help="mogrifier or lstm; or another cell of the config"),
    config: Path = typer.Argument(..., help="Config of a language model", exists=True, dir_okay=False),
    corpus: Path = typer.Argument(..., help="Prepared corpus", exists=True, file_okay=False),
    output: Path = typer.Option(..., help="Folder for CELL/SEED"),
    test: str = typer.Option(..., help="Tokenised test text, one sentence a line"),
    unknown: str = typer.Option("<unk>", help="The token that stands for unknown words there"),
    seeds: int = typer.Option(3, help="Train with so many seeds, from 1 on"),
    gpu_id: int = typer.Option(-1, help="-1 for the CPU"),
) -> None:
    """Train with each seed and measure the best checkpoint on validation and test text."""
    for seed in range(1, seeds + 1):
        folder = output / cell / str(seed)
        if (folder / FIGURES).is_file():
            continue
        overrides = [*context.args, "--model.cell", cell, "--system.seed", str(seed), "--paths.corpus", str(corpus)]
        result = pretrain(config, overrides=overrides, output=folder, gpu_id=gpu_id, resume=bool(list_states(folder)))
        checkpoint = folder / "model-best"
        figures = {
            "parameters": sum(parameter.numel() for parameter in load_checkpoint(checkpoint).parameters()),
            "tokens": result["tokens"],
            "valid": evaluate_mogrifier(checkpoint, [str(corpus)])["perplexity"],
            "test": evaluate_mogrifier(checkpoint, [test], unknown=unknown)["perplexity"],
        }
        (folder / FIGURES).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf8")


@app.command()
def table(
    training: Path = typer.Argument(..., help="Folder with CELL/SEED", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Where to write the figures as JSON"),
) -> None:
    """Print the table and write its figures."""
    figures = {folder.name: read_figures(folder) for folder in sorted(training.iterdir(), reverse=True)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf8")
    message = Printer()
    message.divider("Perplexity, mean ± deviation over the seeds")
    header = ("cell", "parameters", "words seen", "seeds", "validation", "test")
    lines = [table_line(cell, list(seeds.values())) for cell, seeds in figures.items()]
    message.table(lines, header=header, divider=True, aligns=("l", "r", "r", "r", "r", "r"))


def read_figures(folder: Path) -> Dict[str, Any]:
    """What was measured, by seed."""
    return {path.parent.name: json.loads(path.read_text("utf8")) for path in sorted(folder.glob(f"*/{FIGURES}"))}


def table_line(cell: str, runs: List[Dict[str, Any]]) -> List[str]:
    """One row; the deviation is that of the sample."""
    size, tokens = (f"{runs[0][name]:,}" for name in ("parameters", "tokens"))
    spreads = []
    for split in ("valid", "test"):
        values = [run[split] for run in runs]
        deviation = stdev(values) if len(values) > 1 else 0.0
        spreads.append(f"{mean(values):.1f} ± {deviation:.1f}")
    return [cell, size, tokens, str(len(runs)), *spreads]


if __name__ == "__main__":
    with clear_errors():
        app()
