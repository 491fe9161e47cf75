"""F1 on held-out questions while readers train, one picture for each size and share of the questions.

python scripts/curves.py metrics
"""

import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import typer
from matplotlib.figure import Figure
from table import NAMES, NO_VECTORS

from glomo_spacy.cli import clear_errors

COLOURS = {name: f"C{number}" for number, name in enumerate(NAMES)}


def main(metrics: Path = typer.Argument(..., help="Folder with table.json of table.py", exists=True)) -> None:
    """Draw what was measured during training, a line for each seed."""
    kinds: List[Dict[str, Any]] = json.loads((metrics / "table.json").read_text(encoding="utf8"))
    pictures: Dict[Tuple[str, float], List[Dict[str, Any]]] = {}
    for kind in kinds:
        pictures.setdefault((kind["size"], kind["fraction"]), []).append(kind)
    figure = Figure(figsize=(7.2, 4.4 * len(pictures)), layout="constrained")
    for axes, ((size, fraction), shown) in zip(figure.subplots(len(pictures), squeeze=False)[:, 0], pictures.items()):
        draw(axes, shown)
        axes.set_title(f"{size}, {100 * fraction:g} % of the questions")
    figure.savefig(metrics / "curves.png", dpi=150)
    print(f"✔ {metrics / 'curves.png'}")


def draw(axes: Any, kinds: List[Dict[str, Any]]) -> None:
    """A line for each run; runs that differ in their seed only have one colour and one entry in the legend."""
    for kind in kinds:
        variant, vectors = kind["variant"], kind["vectors"]
        label = NAMES.get(variant, variant) + ("" if vectors == NO_VECTORS else f" ({vectors})")
        look = {
            "linestyle": style_of(kind, kinds),
            "color": COLOURS.get(variant, "0.5"),
            "marker": ".",
            "linewidth": 1.2,
        }
        for number, run in enumerate(kind["runs"]):
            steps, scores = zip(*run["curve"])
            axes.plot(steps, scores, label=None if number else label, **look)
    axes.set_xlabel("steps")
    axes.set_ylabel("F1 in percent")
    axes.grid(color="0.9")
    axes.legend(frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)


def style_of(kind: Dict[str, Any], kinds: List[Dict[str, Any]]) -> str:
    """Solid, dashed or dotted by the word vectors, where there are several."""
    names = sorted({other["vectors"] for other in kinds} - {NO_VECTORS})
    return "-" if kind["vectors"] == NO_VECTORS else ("-", "--", ":", "-.")[names.index(kind["vectors"]) % 4]


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
