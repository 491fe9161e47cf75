"""How far the difference of two models' scores would move with other test documents: a paired bootstrap.

Scores of parts of speech, trees, entities and classes are functions of counts that add up over documents, so thousands
of samples of the test set cost one product of matrices each instead of a new scoring.
"""

from functools import lru_cache
from typing import Sequence, Tuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.integer]  # (documents, labels, 3): true positives, false positives, false negatives

MEASURES = ("p", "r", "f")

_AT_ONCE = 1 << 22  # draws of documents in memory, 8 bytes each


def score_of(counts: npt.ArrayLike, measure: str) -> npt.NDArray[np.floating]:
    """Precision, recall or their harmonic mean of summed counts, averaged over labels; 0 where there is nothing.

    counts (ArrayLike): True positives, false positives, false negatives. Shape: (..., labels, 3). With one label for
        everything the result is the micro-average, with all labels the macro-average.
    measure (str): "p", "r" or "f". An accuracy is "f" over items of which each is found once.
    RETURNS (ndarray): 0-1. Shape: (...).
    """
    right, wrong, missed = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)  # (..., labels)
    found = {"p": right + wrong, "r": right + missed, "f": right + (wrong + missed) / 2}[measure]
    return np.divide(right, found, out=np.zeros_like(right), where=found > 0).mean(axis=-1)


def paired_interval(
    first: Sequence[Counts],
    second: Sequence[Counts],
    *,
    measure: str,
    n_samples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Tuple[float, float]:
    """The interval of the difference `second - first` over samples of the test documents.

    Each sample draws as many documents as there are, with replacement, and scores both models on the same ones. Several
    runs of a model are scored each by itself and averaged, so that the interval is that of the difference of means. It
    speaks of other test documents, not of other seeds: see the deviation of the runs for those.
    Source: Efron and Tibshirani 1993, chapter 13 (percentile interval), paired as in Koehn 2004.

    first, second (Sequence[Counts]): The runs of each model on the same documents. At least one each.
    measure (str): As for `score_of`.
    n_samples (int): Samples, > 0. With 2000 the ends of a 95 % interval rest on 50 samples each.
    level (float): Share of the samples inside, in (0, 1).
    seed (int): Draws the samples.
    RETURNS (Tuple[float, float]): Lower and upper end, as shares, not percent.
    """
    n_docs = len(first[0])
    at_once = max(1, _AT_ONCE // n_docs)
    differences = []
    for start in range(0, n_samples, at_once):
        times = _draw_samples(n_docs, min(at_once, n_samples - start), (seed, start))
        differences.append(_mean_score(second, times, measure) - _mean_score(first, times, measure))
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(np.concatenate(differences), [tail, 100 - tail])
    return float(low), float(high)


@lru_cache(maxsize=1)  # every comparison on one test set has the same samples
def _draw_samples(n_docs: int, n_samples: int, seeds: Tuple[int, int]) -> npt.NDArray[np.floating]:
    """How often each document is in each sample. Shape: (samples, docs)."""
    drawn = np.random.default_rng(seeds).integers(n_docs, size=(n_samples, n_docs))
    return np.stack([np.bincount(sample, minlength=n_docs) for sample in drawn]).astype(np.float64)


def _mean_score(runs: Sequence[Counts], times: npt.NDArray[np.floating], measure: str) -> npt.NDArray[np.floating]:
    """The score of each sample, averaged over runs."""
    scores = [score_of(np.tensordot(times, run.astype(np.float64), axes=1), measure) for run in runs]
    return np.asarray(np.mean(scores, axis=0))
