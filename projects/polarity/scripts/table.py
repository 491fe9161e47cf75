"""Accuracy of each row over its folds: a table, its figures as JSON, and a plot."""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Dict, List

import typer
from matplotlib.figure import Figure
from wasabi import Printer

from glomo_spacy.cli import clear_errors

ROWS = {
    "word2vec": "word2vec + BoW",
    "fasttext": "fastText + BoW",
    "elmo": "ELMo + BoW",
    "elmo_tuned": "ELMo + BoW, fine-tuned",
    "elmo_word2vec": "ELMo + word2vec + BoW",
}
BASELINE = "word2vec"


def main(
    training: Path = typer.Argument(..., help="Folder with ROW/scores.json", exists=True, file_okay=False),
    output: Path = typer.Argument(..., help="Folder for table.json and accuracy.png"),
) -> None:
    """Compare the rows that were trained."""
    accuracies = {row: read_accuracies(training / row) for row in ROWS if (training / row / "scores.json").is_file()}
    rows = [table_row(row, accuracies) for row in accuracies]
    output.mkdir(parents=True, exist_ok=True)
    (output / "table.json").write_text(json.dumps(accuracies, indent=2) + "\n", encoding="utf8")
    draw(accuracies, output / "accuracy.png")
    message = Printer()
    message.divider("Accuracy in percent on held-out sentences, after the last step")
    header = ("features", "folds", "mean", "± deviation", f"over {BASELINE}", "± deviation")
    message.table(rows, header=header, divider=True, aligns=("l", "r", "r", "r", "r", "r"))
    message.good(f"{output / 'accuracy.png'}")


def read_accuracies(folder: Path) -> List[float]:
    """Accuracy by fold, 0-1."""
    accuracies: List[float] = json.loads((folder / "scores.json").read_text(encoding="utf8"))["accuracy"]
    return accuracies


def table_row(row: str, accuracies: Dict[str, List[float]]) -> List[str]:
    """One row in percent. Differences are taken fold by fold, on the folds that both rows have."""
    own = accuracies[row]
    cells = [ROWS[row], str(len(own)), f"{100 * mean(own):.2f}", f"{100 * spread(own):.2f}"]
    if row == BASELINE or BASELINE not in accuracies:
        return [*cells, "", ""]
    gains = [accuracy - base for accuracy, base in zip(own, accuracies[BASELINE])]
    return [*cells, f"{100 * mean(gains):+.2f}", f"{100 * spread(gains):.2f}"]


def spread(values: List[float]) -> float:
    """Standard deviation of the sample, 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0


def draw(accuracies: Dict[str, List[float]], path: Path) -> None:
    """A point for each fold, the mean and its deviation beside them."""
    figure = Figure(figsize=(6.4, 0.8 + 0.6 * len(accuracies)), layout="constrained")
    axes = figure.subplots()
    for place, own in enumerate(accuracies.values()):
        percent = [100 * accuracy for accuracy in own]
        axes.plot(percent, [place + 0.14] * len(percent), "o", color="0.65", markersize=4)
        axes.errorbar(100 * mean(own), place - 0.1, xerr=100 * spread(own), fmt="D", color="C0", capsize=4)
    axes.set_yticks(range(len(accuracies)), [ROWS[row] for row in accuracies])
    axes.set_ylim(len(accuracies) - 0.5, -0.5)
    axes.set_xlabel("accuracy in percent: folds (circles), mean ± deviation (diamonds)")
    axes.grid(axis="x", color="0.9")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
