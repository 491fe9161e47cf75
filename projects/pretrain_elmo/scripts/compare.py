"""Perplexity before and after incremental training, on held-out old and new text.

    python scripts/compare.py OLD_CHECKPOINT NEW_CHECKPOINT OLD_CORPUS NEW_CORPUS metrics/more.json

Every word counts once, in both directions, over the vocabulary of the checkpoint. Beside each perplexity stands the
share of words that this vocabulary lacks: a model with more unknown words has the easier task.
"""

import json
from pathlib import Path
from typing import Any, Dict

import typer
from wasabi import Printer

from glomo_spacy.cli import clear_errors
from glomo_spacy.cli.evaluate_lm import evaluate_bilm


def main(
    old_checkpoint: Path = typer.Argument(..., exists=True, file_okay=False),
    new_checkpoint: Path = typer.Argument(..., exists=True, file_okay=False),
    old_corpus: Path = typer.Argument(..., exists=True, file_okay=False),
    new_corpus: Path = typer.Argument(..., exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Where to write the figures as JSON"),
) -> None:
    """Measure, print the table and write its figures."""
    checkpoints, corpora = {"before": old_checkpoint, "after": new_checkpoint}, {"old": old_corpus, "new": new_corpus}
    figures = {
        time: {text: measure(checkpoint, corpus) for text, corpus in corpora.items()}
        for time, checkpoint in checkpoints.items()
    }
    output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf8")
    rows = [(time, *(cell(measures[text]) for text in corpora)) for time, measures in figures.items()]
    message = Printer()
    message.divider("Held-out perplexity (unknown words)")
    message.table(rows, header=("training", "old text", "new text"), divider=True, aligns=("l", "r", "r"))


def measure(checkpoint: Path, corpus: Path) -> Dict[str, Any]:
    """As `glomo-spacy evaluate-lm` measures it."""
    return evaluate_bilm(
        checkpoint, [str(corpus)], raw=False, lang="en", split="dev", batch_size=32, max_batches=None, device="cpu"
    )


def cell(measures: Dict[str, Any]) -> str:
    """Perplexity and share of unknown words."""
    return f"{measures['perplexity']:.1f} ({100 * measures['unknown_rate']:.1f} %)"


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
