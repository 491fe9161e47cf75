"""How the figures of an ablation are shown: tables as Markdown, as JSON and on the terminal, and a plot."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Literal, Optional, Tuple

from ..files import atomic_write
from ._ablation_figures import CostRow, Figures, ScoreRow

Line = Tuple[str, ...]
Table = Tuple[str, Line, List[Line]]  # title, header, rows

MARKDOWN, JSON, PLOT = "table.md", "table.json", "plot.png"


def write_tables(figures: Figures, output: Path) -> None:
    """Write `table.md` and `table.json` into a folder; earlier ones are replaced."""
    with atomic_write(output / JSON, text=True) as file:
        file.write(json.dumps(asdict(figures), indent=2, ensure_ascii=False) + "\n")
    with atomic_write(output / MARKDOWN, text=True) as file:
        file.write("\n".join(map(_as_markdown, make_tables(figures))) + "\n" + _notes(figures))


def print_tables(figures: Figures) -> None:
    """Print the tables on the terminal."""
    from wasabi import table

    for title, header, rows in make_tables(figures):
        print(f"\n{title}")
        print(table(rows, header=header, divider=True, aligns=_alignment(header)))


def draw_plot(figures: Figures, output: Path) -> None:
    """Draw `plot.png`: each score over the amount of data. RAISES: G012 (ImportError) without matplotlib."""
    from ..visual.learning_curves import Curve, draw_curves

    lines: Dict[Tuple[str, str], List[ScoreRow]] = {}
    for row in figures.scores:
        lines.setdefault((row.score, row.feature), []).append(row)
    curves = [
        Curve(
            score,
            feature,
            shares=[row.size for row in rows],
            scores=[100 * row.mean for row in rows],
            deviations=[100 * row.deviation for row in rows],
        )
        for (score, feature), rows in lines.items()
    ]
    draw_curves(curves, output / PLOT)


def make_tables(figures: Figures) -> List[Table]:
    """One table for each score, and one of costs."""
    scores = list(dict.fromkeys(row.score for row in figures.scores))
    tables = [_score_table(score, [row for row in figures.scores if row.score == score]) for score in scores]
    return [*tables, _cost_table(figures.costs)]


def share_text(size: float) -> str:
    """A share of the training corpus in percent: "1 %"."""
    return f"{100 * size:g} %"


def _score_table(score: str, rows: List[ScoreRow]) -> Table:
    first = rows[0].feature
    header = ("data", "features", "seeds", score, "± deviation", f"over {first}", "95 % interval", "errors")
    lines: List[Line] = [
        (
            share_text(row.size),
            row.feature,
            str(len(row.values)),
            f"{100 * row.mean:.2f}",
            f"{100 * row.deviation:.2f}",
            _signed(row.difference, ".2f"),
            f"{_signed(row.low, '.2f')} … {_signed(row.high, '.2f')}" if row.low is not None else "",
            f"{_signed(row.errors, '.1f')} %" if row.errors is not None else "",
        )
        for row in rows
    ]
    return f"{score} in percent", header, lines


def _cost_table(rows: List[CostRow]) -> Table:
    header = ("features", "words/s", f"times {rows[0].feature}", "MB", "training")
    base = rows[0].speed
    lines: List[Line] = [
        (
            row.feature,
            f"{row.speed:,.0f}" if row.speed else "",
            f"{row.speed / base:.2f}" if row.speed and base else "",
            f"{row.megabytes:,.1f}",
            f"{row.seconds:,.0f} s",
        )
        for row in rows
    ]
    return "Cost", header, lines


def _signed(share: Optional[float], form: str) -> str:
    return "" if share is None else f"{100 * share:+{form}}"


def _alignment(header: Line) -> Tuple[Literal["l", "r"], ...]:
    """Names stand at the left, figures at the right."""
    return tuple("l" if name == "features" else "r" for name in header)


def _as_markdown(table: Table) -> str:
    title, header, rows = table
    rules = tuple("---:" if align == "r" else ":---" for align in _alignment(header))
    lines = [" | ".join(line) for line in (header, rules, *rows)]
    return f"## {title}\n\n" + "".join(f"| {line} |\n" for line in lines)


def _notes(figures: Figures) -> str:
    text = (
        "Means and sample deviations over seeds; differences on the seeds that both have, with the 95 % interval of a "
        "paired bootstrap over test documents; errors: relative change of what is missing to 100. Words a second: "
        "`nlp.pipe` over tokenised text in one thread, processor time, median over cells. MB: the saved pipeline. "
        "Training: processor time with the most data.\n"
    )
    left = figures.n_cells - figures.n_finished
    return text + (f"\n{left} of {figures.n_cells} cells are not finished.\n" if left else "")
