"""The figures of an ablation, gathered from its finished cells."""

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from ..errors import Errors
from ..evaluation.bootstrap import Counts, paired_interval
from ._ablation_cell import is_made, read_counts, read_result
from ._ablation_counts import measure_of
from ._ablation_plan import Cell


@dataclass(frozen=True)
class ScoreRow:
    """One score of one feature at one size, as shares, not percent.

    score, feature (str): Names.
    size (float): Share of the training corpus.
    values (Dict[int, float]): The score by seed.
    mean, deviation (float): Over seeds; the deviation is that of the sample, 0 for a single seed.
    difference (Optional[float]): To the first feature, on the seeds that both have. None for the first one itself.
    low, high (Optional[float]): 95 % interval of the difference over samples of the test documents. None if the score
        is no function of sums over documents.
    errors (Optional[float]): Relative change of what is missing to 1: -0.25 is a quarter fewer errors.
    """

    score: str
    feature: str
    size: float
    values: Dict[int, float]
    mean: float
    deviation: float
    difference: Optional[float] = None
    low: Optional[float] = None
    high: Optional[float] = None
    errors: Optional[float] = None


@dataclass(frozen=True)
class CostRow:
    """What a feature costs.

    feature (str): Its name.
    speed (Optional[float]): Words a second in one thread, the median over its cells.
    megabytes (float): The saved pipeline, the largest of its cells. 10⁶ bytes.
    seconds (float): Processor time of one training with the most data, the median over its seeds.
    """

    feature: str
    speed: Optional[float]
    megabytes: float
    seconds: float


@dataclass(frozen=True)
class Figures:
    """All there is to show.

    scores (List[ScoreRow]): By score, size, feature, in the order of the config.
    costs (List[CostRow]): By feature.
    n_finished, n_cells (int): Cells that the rows rest on, and all of them.
    """

    scores: List[ScoreRow]
    costs: List[CostRow]
    n_finished: int
    n_cells: int


@dataclass(frozen=True)
class _Run:
    result: Dict[str, Any]
    counts: Dict[str, Counts]


def gather_figures(output: Path, cells: Sequence[Cell], *, scores: Sequence[str]) -> Figures:
    """Read the finished ones of some cells.

    output (Path): Folder of the ablation.
    cells (Sequence[Cell]): In the order of rows; the first feature is what others are compared with.
    scores (Sequence[str]): Names of scores.
    RAISES: ValueError G974 for a score that no finished cell has.
    """
    runs = {
        cell: _Run(read_result(output / cell.folder), read_counts(output / cell.folder))
        for cell in cells
        if is_made(output / cell.folder)
    }
    features = list(dict.fromkeys(cell.feature for cell in cells))
    sizes = list(dict.fromkeys(cell.size for cell in cells))
    rows: List[ScoreRow] = []
    for score in scores:
        _check_score(score, runs.values(), output)
        for size in sizes:
            of_size = {(cell.feature, cell.seed): run for cell, run in runs.items() if cell.size == size}
            by_feature = [
                {seed: run for (feature, seed), run in of_size.items() if feature == name and _has(run, score)}
                for name in features
            ]
            rows += [
                _score_row(score, feature, size, own, by_feature[0] if feature != features[0] else {})
                for feature, own in zip(features, by_feature)
                if own
            ]
    costs = [_cost_row(feature, runs) for feature in features if any(cell.feature == feature for cell in runs)]
    return Figures(rows, costs, n_finished=len(runs), n_cells=len(cells))


def _score_row(score: str, feature: str, size: float, own: Dict[int, _Run], first: Dict[int, _Run]) -> ScoreRow:
    """A row; `first` holds the runs to compare with, none for the first feature itself."""
    values = {seed: run.result["scores"][score] for seed, run in own.items()}
    own_mean = mean(values.values())
    row = ScoreRow(score, feature, size, values, own_mean, _deviation(list(values.values())))
    both = [seed for seed in own if seed in first]
    if not both:
        return row
    base = mean(first[seed].result["scores"][score] for seed in both)
    difference = mean(values[seed] for seed in both) - base
    low, high = _interval(score, [first[seed] for seed in both], [own[seed] for seed in both])
    errors = -difference / (1 - base) if base < 1 else None
    return replace(row, difference=difference, low=low, high=high, errors=errors)


def _interval(score: str, first: Sequence[_Run], own: Sequence[_Run]) -> Tuple[Optional[float], Optional[float]]:
    """Both ends, or None where documents were not counted."""
    if any(score not in run.counts for run in (*first, *own)):
        return None, None
    firsts, owns = ([run.counts[score] for run in runs] for runs in (first, own))
    if len({len(counts) for counts in (*firsts, *owns)}) > 1:
        return None, None
    return paired_interval(firsts, owns, measure=measure_of(score))


def _cost_row(feature: str, runs: Dict[Cell, _Run]) -> CostRow:
    own = {cell: run.result for cell, run in runs.items() if cell.feature == feature}
    speeds = [result["speed"] for result in own.values() if result["speed"] is not None]
    largest = max(cell.size for cell in own)
    return CostRow(
        feature,
        speed=median(speeds) if speeds else None,
        megabytes=max(result["bytes"] for result in own.values()) / 1e6,
        seconds=median(result["seconds"] for cell, result in own.items() if cell.size == largest),
    )


def _has(run: _Run, score: str) -> bool:
    return run.result["scores"].get(score) is not None


def _deviation(values: List[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _check_score(score: str, runs: Iterable[_Run], output: Path) -> None:
    found = sorted({name for run in runs for name in run.result["scores"] if _has(run, name)})
    if score not in found:
        known = ", ".join(found) or "none, since no cell is finished"
        raise ValueError(Errors.G974.format(path=output, name=score, found=known))
