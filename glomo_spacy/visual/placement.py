"""Where points stand on a map of two dimensions: t-SNE (van der Maaten and Hinton 2008), by scikit-learn."""

from typing import Any, Optional

import numpy
import numpy.typing as npt

from ..errors import Errors
from .token_rows import Floats, unit_rows

LARGEST_PERPLEXITY = 15.0  # a few sentences fall into small groups; the tutorial that began this used 6 for 50 tokens
_STEPS = 500  # enough for a few hundred points, half of scikit-learn's

Points = npt.NDArray[numpy.float64]


def place_points(vectors: Floats, *, perplexity: Optional[float] = None, seed: int = 0) -> Points:
    """Put rows on a map so that those with a high cosine stand near each other.

    Rows that are equal, as those of a word without context are, stand on one point. The result depends on the rows and
    the seed alone.

    vectors (Floats): Shape: (rows, width).
    perplexity (Optional[float]): About how many neighbours a point looks at. > 0. None: a third of the points, at most
        `LARGEST_PERPLEXITY`. It is lowered where there are too few points.
    seed (int): Of the optimisation.
    RETURNS (Points): Shape: (rows, 2); the mean is 0, the largest distance from it 1, the wider axis the first.
    RAISES: G012 (ImportError) without scikit-learn; G101 (ValueError) for a perplexity that is not positive.
    """
    if perplexity is not None and perplexity <= 0:
        raise ValueError(Errors.G101.format(name="perplexity", expected="positive", value=perplexity))
    if not len(vectors):
        return numpy.zeros((0, 2))
    distinct, place_of = numpy.unique(vectors, axis=0, return_inverse=True)
    points = _place_distinct(unit_rows(distinct), perplexity=perplexity, seed=seed)
    return _normalized(_principal(points[place_of.reshape(-1)]))


def align_points(points: Points, reference: Points) -> Points:
    """Turn and mirror a map so that it lies on another one of the same rows as well as it can; nothing else changes.

    The solution of the orthogonal Procrustes problem (Schönemann 1966).

    points (Points): Mean 0. Shape: (rows, 2).
    reference (Points): Mean 0. Shape: (rows, 2).
    """
    left, _, right = numpy.linalg.svd(points.T @ reference)
    aligned: Points = points @ (left @ right)
    return aligned


def _place_distinct(unit: Floats, *, perplexity: Optional[float], seed: int) -> Points:
    n_points = len(unit)
    if n_points < 4:  # too few for neighbourhoods
        return _principal(unit)
    most = (n_points - 1) / 3
    wanted = LARGEST_PERPLEXITY if perplexity is None else perplexity
    start = _normalized(_principal(unit)) * 1e-4  # as small as scikit-learn makes its own
    tsne = _tsne_class()(perplexity=min(wanted, most), init=start.astype("float32"), random_state=seed, max_iter=_STEPS)
    points: Points = tsne.fit_transform(unit).astype(numpy.float64)
    return points


def _principal(vectors: npt.NDArray[Any]) -> Points:
    """The two directions in which rows vary most, as far as there are two; signs are fixed."""
    centred = vectors.astype(numpy.float64) - vectors.mean(axis=0, dtype=numpy.float64)
    left, sizes, _ = numpy.linalg.svd(centred, full_matrices=False)
    points = numpy.zeros((len(vectors), 2))
    n_found = min(2, len(sizes))
    points[:, :n_found] = left[:, :n_found] * sizes[:n_found]
    largest = points[numpy.abs(points).argmax(axis=0), [0, 1]]
    signed: Points = points * numpy.where(largest < 0, -1, 1)
    return signed


def _normalized(points: Points) -> Points:
    centred: Points = points - points.mean(axis=0)
    farthest = numpy.linalg.norm(centred, axis=1).max(initial=0)
    return centred / farthest if farthest > 0 else centred


def _tsne_class() -> Any:
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError(Errors.G012.format(package="scikit-learn")) from error
    return TSNE
