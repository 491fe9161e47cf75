"""Scores over the amount of training data as a PNG, by matplotlib: a panel for each score, a line for each feature."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from ..errors import Errors
from ..files import atomic_write
from .map_picture import COLOURS, INK, MARKS, RESOLUTION, SOFT

PANEL = (5.2, 4.2)  # inches


@dataclass(frozen=True)
class Curve:
    """A line of one panel.

    panel, name (str): What is measured, and of what.
    shares (Sequence[float]): Amounts of data, in (0, 1], rising.
    scores, deviations (Sequence[float]): At each of them, in percent.
    """

    panel: str
    name: str
    shares: Sequence[float]
    scores: Sequence[float]
    deviations: Sequence[float]


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Draw learning curves.

    curves (Sequence[Curve]): At least one. A name has the same colour in all panels.
    path (Path): The PNG to write; an earlier one is replaced.
    RAISES: G012 (ImportError) without matplotlib; G900 (OSError) if the disk is full.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(Errors.G012.format(package="matplotlib")) from error
    panels = list(dict.fromkeys(curve.panel for curve in curves))
    names = list(dict.fromkeys(curve.name for curve in curves))
    figure = Figure(figsize=(PANEL[0] * len(panels), PANEL[1]), layout="constrained", facecolor="white")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        own = [curve for curve in curves if curve.panel == panel]
        _draw_panel(axes, panel, own, names)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=RESOLUTION)


def _draw_panel(axes: Any, panel: str, curves: Sequence[Curve], names: Sequence[str]) -> None:
    for curve in curves:
        number = names.index(curve.name)
        # Features differ by a few percent of the axis: side by side, their bars would hide each other.
        aside = 1.03 ** (number - (len(names) - 1) / 2)
        axes.errorbar(
            [100 * share * aside for share in curve.shares],
            curve.scores,
            yerr=curve.deviations,
            label=curve.name,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKS[number % len(MARKS)],
            markersize=5,
            linewidth=1.4,
            capsize=3,
        )
    ticks = sorted({share for curve in curves for share in curve.shares})
    axes.set_xscale("log")
    axes.set_xticks([100 * share for share in ticks], [f"{100 * share:g} %" for share in ticks])
    axes.minorticks_off()
    axes.set_title(f"{panel}, percent", loc="left", color=INK, fontsize=11)
    axes.set_xlabel("training data (bars: deviation over seeds)", color=SOFT)
    axes.grid(axis="y", color="#e4e2dc")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, labelcolor=SOFT, loc="best")
