"""Maps of words in their sentences as a PNG, by matplotlib: one panel for each map, of one layer."""

import warnings
from pathlib import Path
from typing import Any, List, Sequence, Tuple

import numpy

from ..errors import Errors
from ..files import atomic_write
from .placement import Points
from .token_map import PlacedMap

COLOURS = ("#0072b2", "#c24e00", "#00795c", "#a2467f", "#806600", "#5a5fb0")  # as on the page
MARKS = ("o", "s", "^", "D", "P", "v")
INK, SOFT, FAINT = "#1b1f27", "#5d6573", "#b9bcc3"
PANEL = (7.2, 5.6)  # inches
RESOLUTION = 150  # dots per inch
_MOST_WORDS = 60  # of the background that are written out
_ROOM = 0.035  # of the panel: labels nearer than this to another one are left out


def draw_maps(maps: Sequence[PlacedMap], path: Path, *, layer: int, layer_name: str, title: str = "") -> None:
    """Draw maps of one layer.

    maps (Sequence[PlacedMap]): At least one.
    path (Path): The PNG to write; an earlier one is replaced.
    layer (int): Which layer.
    layer_name (str): What it is called.
    title (str): Heading. Empty: none.
    RAISES: G054 (ValueError) without any map; G012 (ImportError) without matplotlib; G900 (OSError) if the disk is
        full.
    """
    if not maps:
        raise ValueError(Errors.G054)
    figure, panels = _panels(len(maps))
    for axes, placed in zip(panels, maps):
        _draw(axes, placed, layer=layer, layer_name=layer_name)
    if title:
        figure.suptitle(title, color=INK, fontsize=15, fontweight="bold")
    with warnings.catch_warnings(), atomic_write(path) as file:
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # drawn as a box; the page shows it
        figure.savefig(file, format="png", dpi=RESOLUTION)


def _panels(n_maps: int) -> Tuple[Any, List[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(Errors.G012.format(package="matplotlib")) from error
    n_columns = int(numpy.ceil(numpy.sqrt(n_maps)))
    n_rows = -(-n_maps // n_columns)
    # A figure of its own: no window, no global state, whatever the program around uses.
    figure = Figure(figsize=(PANEL[0] * n_columns, PANEL[1] * n_rows), layout="constrained", facecolor="white")
    panels = figure.subplots(n_rows, n_columns, squeeze=False).reshape(-1).tolist()
    for empty in panels[n_maps:]:
        empty.set_axis_off()
    return figure, panels[:n_maps]


def _draw(axes: Any, placed: PlacedMap, *, layer: int, layer_name: str) -> None:
    item, points = placed.map, placed.all[layer]
    focus = list(item.focus) or list(range(len(points)))
    background = sorted(set(range(len(points))) - set(focus))
    axes.scatter(points[background, 0], points[background, 1], s=7, color=FAINT, linewidths=0)
    groups = [item.group_of(index) for index in focus]
    for group in sorted(set(groups), key=lambda group: -1 if group is None else group):
        rows = [index for index, own in zip(focus, groups) if own == group]
        number = (group or 0) % len(COLOURS)
        label = None if group is None else item.group_names[group]
        style = {"color": COLOURS[number], "marker": MARKS[number], "edgecolors": "white", "linewidths": 0.8}
        axes.scatter(points[rows, 0], points[rows, 1], s=46, label=label, zorder=3, **style)
    if item.focus:
        _write_words(axes, placed, points, background, colour=SOFT)
    else:
        _write_words(axes, placed, points, focus, colour=INK)
    score = item.agreement(layer)
    heading = f"{item.name} · {layer_name}" + ("" if score is None else f" · nearest agrees {score[0]} of {score[1]}")
    axes.set_title(heading, loc="left", color=INK, fontsize=11)
    if item.group_names:
        axes.legend(frameon=False, fontsize=9, labelcolor=SOFT, loc="best")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.08)
    axes.spines[:].set_color("#e4e2dc")


def _write_words(axes: Any, placed: PlacedMap, points: Points, rows: Sequence[int], *, colour: str) -> None:
    """Words beside their marks, as far as there is room."""
    width, height = numpy.ptp(points, axis=0).clip(1e-9)
    written: List[Tuple[float, float]] = []
    for index in rows:
        x, y = points[index, 0] / width, points[index, 1] / height
        if any(abs(x - left) < 2.5 * _ROOM and abs(y - low) < _ROOM for left, low in written):
            continue
        word = placed.map.tokens.rows[index].word
        axes.annotate(
            _plain(word),
            points[index],
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=7,
            color=colour,
            zorder=2,
        )
        written.append((x, y))
        if len(written) >= _MOST_WORDS:
            return


def _plain(word: str) -> str:
    """A dollar sign would begin a formula."""
    return " ".join(word.split()).replace("$", r"\$")
