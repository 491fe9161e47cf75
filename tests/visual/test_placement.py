"""Where points stand on a map."""

import sys

import numpy
import pytest

from glomo_spacy.visual.placement import align_points, place_points


def groups(n_groups: int, n_members: int) -> numpy.ndarray:
    rng = numpy.random.default_rng(0)
    centres = 4 * rng.normal(size=(n_groups, 8))
    members = centres.repeat(n_members, axis=0) + 0.3 * rng.normal(size=(n_groups * n_members, 8))
    return members.astype("float32")


def test_groups_stand_apart() -> None:
    points = place_points(groups(2, 8))
    first, second = points[:8], points[8:]
    between = numpy.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    within = max(numpy.linalg.norm(part - part.mean(axis=0), axis=1).max() for part in (first, second))
    assert between > within


def test_places_depend_on_rows_and_seed_alone() -> None:
    vectors = groups(2, 6)
    points = place_points(vectors)
    numpy.random.rand()
    numpy.testing.assert_array_equal(place_points(vectors), points)
    numpy.testing.assert_array_equal(place_points(vectors, seed=0), points)


def test_the_map_lies_across_within_the_unit_circle() -> None:
    points = place_points(groups(3, 5))
    numpy.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-9)
    assert numpy.linalg.norm(points, axis=1).max() == pytest.approx(1)
    assert points[:, 0].std() >= points[:, 1].std()


def test_equal_rows_stand_on_one_point() -> None:
    vectors = groups(2, 6)
    points = place_points(numpy.concatenate([vectors, vectors[:3]]))
    numpy.testing.assert_allclose(points[12:], points[:3], atol=1e-12)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("are_equal", [False, True])
def test_few_rows_have_places(n_rows: int, are_equal: bool) -> None:
    vectors = numpy.ones((n_rows, 8), dtype="float32") if are_equal else groups(1, 5)[:n_rows]
    points = place_points(vectors)
    assert points.shape == (n_rows, 2)
    assert numpy.isfinite(points).all()
    assert len(numpy.unique(points, axis=0)) == (min(n_rows, 1) if are_equal else n_rows)


@pytest.mark.parametrize("perplexity", [1, 1e6])
def test_a_perplexity_beyond_the_number_of_points_is_lowered(perplexity: float) -> None:
    assert numpy.isfinite(place_points(groups(2, 4), perplexity=perplexity)).all()


@pytest.mark.parametrize("perplexity", [0, -3])
def test_a_perplexity_that_is_not_positive_is_refused(perplexity: float) -> None:
    with pytest.raises(ValueError, match=r"\[G101\] perplexity must be positive, but is"):
        place_points(groups(1, 5), perplexity=perplexity)


def test_a_turned_and_mirrored_map_is_turned_back() -> None:
    reference = numpy.random.default_rng(0).normal(size=(7, 2))
    reference -= reference.mean(axis=0)
    turn = numpy.array([[0.6, -0.8], [0.8, 0.6]]) @ numpy.diag([1, -1])
    numpy.testing.assert_allclose(align_points(reference @ turn, reference), reference, atol=1e-12)


def test_aligning_keeps_distances() -> None:
    points, reference = numpy.random.default_rng(0).normal(size=(2, 7, 2))
    aligned = align_points(points, reference)
    numpy.testing.assert_allclose(numpy.linalg.norm(aligned, axis=1), numpy.linalg.norm(points, axis=1), atol=1e-12)


def test_a_missing_scikit_learn_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(ImportError, match=r'\[G012\] This needs scikit-learn.*pip install "glomo-spacy\[viz\]"'):
        place_points(groups(2, 4))
