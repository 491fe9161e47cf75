"""Tagging accuracy of each row over its seeds, from what `spacy train` stored with the pipelines."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Dict, List

import typer
from wasabi import Printer

from glomo_spacy.cli import clear_errors

ROWS = ("baseline", "graphs", "packaged", "elmo", "mogrifier")


def main(
    training: Path = typer.Argument(..., help="Folder with ROW/SEED/model-last", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Where to write the figures as JSON"),
) -> None:
    """Print the table and write its figures."""
    figures = {row: read_accuracies(training / row) for row in ROWS}
    output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf8")
    seeds = list(figures[ROWS[0]])
    header = ("tagger", *(f"seed {seed}" for seed in seeds), "mean", "± deviation", "difference")
    lines = [table_line(row, list(figures[row].values()), list(figures[ROWS[0]].values())) for row in ROWS]
    message = Printer()
    message.divider("Tagging accuracy in percent, after the last step")
    message.table(lines, header=header, divider=True, aligns=("l", *"r" * (len(header) - 1)))


def read_accuracies(folder: Path) -> Dict[str, float]:
    """Accuracy by seed, 0-1, from the meta.json of each pipeline."""
    paths = sorted(folder.glob("*/model-last/meta.json"))
    return {path.parts[-3]: json.loads(path.read_text(encoding="utf8"))["performance"]["tag_acc"] for path in paths}


def table_line(row: str, accuracies: List[float], baseline: List[float]) -> List[str]:
    """One row in percent. The deviation is that of the sample; the difference is that of the means."""
    deviation = stdev(accuracies) if len(accuracies) > 1 else 0.0
    difference = mean(accuracies) - mean(baseline)
    seeds = [f"{100 * accuracy:.2f}" for accuracy in accuracies]
    return [row, *seeds, f"{100 * mean(accuracies):.2f}", f"{100 * deviation:.2f}", f"{100 * difference:+.2f}"]


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
