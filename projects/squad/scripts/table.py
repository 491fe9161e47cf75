"""Exact match and F1 of all readers that were measured, one row for each kind, over its seeds.

    python scripts/table.py metrics

Writes table.json. A gain is over the same reader without graphs, on the same vectors, size and share of the questions,
seed by seed.
"""

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Dict, List, Tuple

import typer
from wasabi import Printer

from glomo_spacy.cli import clear_errors

NAMES = {
    "glove": "word vectors",
    "glove-graphs": "word vectors + graphs",
    "glove-trnn": "word vectors + TRNN",
    "uniform": "word vectors + uniform graph",
    "trees": "word vectors + trees of a parser",
    "elmo": "ELMo",
    "elmo-graphs": "ELMo + graphs",
    "elmo-trnn": "ELMo + TRNN",
}
NO_VECTORS = "none"
HEADER = ("features", "size", "vectors", "questions", "seeds", "EM", "F1", "gain F1", "minutes", "hardware")

Figures = Dict[str, Any]
Kind = Tuple[str, str, float, str]  # size, vectors, share of the questions, variant


def main(metrics: Path = typer.Argument(..., help="Folder that holds figures.json of runs", exists=True)) -> None:
    """Read, group, print and write."""
    groups: Dict[Kind, List[Figures]] = {}
    for path in sorted(metrics.rglob("figures.json")):
        figures = json.loads(path.read_text(encoding="utf8"))
        kind = (figures["size"], figures["vectors"] or NO_VECTORS, figures["fraction"], figures["variant"])
        groups.setdefault(kind, []).append(figures)
    ordered = {kind: groups[kind] for kind in sorted(groups, key=_place)}
    rows = [table_row(kind, ordered) for kind in ordered]
    kinds = [dict(zip(("size", "vectors", "fraction", "variant"), kind), runs=runs) for kind, runs in ordered.items()]
    (metrics / "table.json").write_text(json.dumps(kinds, indent=2) + "\n", encoding="utf8")
    message = Printer()
    message.divider("Exact match and F1 on all held-out questions, in percent")
    message.table(rows, header=HEADER, divider=True, aligns=("l", "l", "l", *"rrrrrr", "l"))
    message.good(str(metrics / "table.json"))


def _place(kind: Kind) -> Tuple[Any, ...]:
    """Where a row stands: readers that compare side by side, in the order of `NAMES`."""
    size, vectors, fraction, variant = kind
    known = list(NAMES)
    return size, fraction, vectors == NO_VECTORS, vectors, known.index(variant) if variant in known else len(known)


def table_row(kind: Kind, groups: Dict[Kind, List[Figures]]) -> List[str]:
    """What is printed of one kind of reader."""
    size, vectors, fraction, variant = kind
    runs = groups[kind]
    return [
        NAMES.get(variant, variant),
        size,
        vectors,
        f"{100 * fraction:g} %",
        str(len(runs)),
        with_spread([run["exact_match"] for run in runs]),
        with_spread([run["f1"] for run in runs]),
        gain(kind, groups),
        f"{mean(run['minutes'] for run in runs):.0f}",
        ", ".join(sorted({f"{run['hardware']}, threads: {run['threads']}" for run in runs})),
    ]


def gain(kind: Kind, groups: Dict[Kind, List[Figures]]) -> str:
    """Points of F1 over the reader without graphs, on the seeds that both have; empty for that reader itself."""
    *others, variant = kind
    baseline = "elmo" if variant.startswith("elmo") else "glove"
    plain = {run["seed"]: run["f1"] for run in groups.get((*others, baseline), ())}  # type: ignore[arg-type]
    gains = [run["f1"] - plain[run["seed"]] for run in groups[kind] if run["seed"] in plain]
    return "" if variant == baseline or not gains else with_spread(gains, sign="+")


def with_spread(values: List[float], *, sign: str = "") -> str:
    """Mean, and standard deviation of the sample where there are several."""
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{mean(values):{sign}.2f}{spread}"


if __name__ == "__main__":
    with clear_errors():
        typer.run(main)
