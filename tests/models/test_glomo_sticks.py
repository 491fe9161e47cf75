"""Stick-breaking heads: against plain loops over the sources of a row, from the nearest on."""

from typing import Optional

import numpy as np
import pytest
import torch

from glomo_spacy.models.glomo import GlomoConfig
from glomo_spacy.models.glomo.sparsity import BrokenSticks, Scores, StickBreaking

SIZES = {"vocab_size": 9, "width": 16, "n_layers": 2, "sparsity": "stick-breaking"}


def by_loops(products: np.ndarray, offset: float, nearness: Optional[np.ndarray], *, is_right: bool) -> np.ndarray:
    """One head's graph. products (receiver, source): divided by the square root of the head's width already."""
    n = len(products)
    graph = np.zeros((n, n))
    for receiver in range(n):
        left_over = 1.0
        for source in range(receiver + 1, n) if is_right else range(receiver - 1, -1, -1):
            score = products[receiver, source] + offset
            if nearness is not None:
                score += 2 * nearness[receiver, source]
            share = 1 / (1 + np.exp(-score))
            graph[receiver, source] = left_over * share
            left_over *= 1 - share
        graph[receiver] /= graph[receiver].sum() or 1
    return graph


@pytest.mark.parametrize("has_nearness", [False, True])
@pytest.mark.parametrize("is_right", [False, True])
@torch.no_grad()
def test_each_source_takes_its_share_of_what_nearer_ones_leave(is_right: bool, has_nearness: bool) -> None:
    config = GlomoConfig(**SIZES, n_heads=2, head_width=4, reach=(1.5, 9))
    sticks = StickBreaking(config)
    generator = torch.Generator().manual_seed(0)
    products = 4 * torch.randn(1, 2, 7, 7, generator=generator)
    nearness = torch.randn(2, 7, 7, generator=generator) if has_nearness else None
    positions = torch.arange(7)
    distance = positions[:, None] - positions
    allowed = (-distance if is_right else distance) > 0
    found = sticks(Scores(products, products, allowed, torch.tensor([7]), 1, nearness, is_right))
    for head, reach in enumerate(config.reach):
        near = None if nearness is None else nearness[head].numpy()
        offset = -np.log(reach - 1)  # so that a first share is 1 / reach
        expected = by_loops(products[0, head].numpy() / 2, offset, near, is_right=is_right)
        np.testing.assert_allclose(found[0, head], expected, atol=1e-6)


@pytest.mark.parametrize("of_pairs", [False, True], ids=["offset of heads", "offset of pairs"])
@pytest.mark.parametrize("is_right", [False, True])
def test_the_gradient_by_hand_is_that_of_the_formula(is_right: bool, of_pairs: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    sizes = (3, 5, 5) if of_pairs else (3, 1, 1)
    offset = torch.randn(sizes, generator=generator, dtype=torch.float64, requires_grad=True)
    every = torch.ones(5, 5, dtype=torch.bool)
    allowed = every.triu(1) if is_right else every.tril(-1)
    assert torch.autograd.gradcheck(BrokenSticks.apply, (scores, offset, allowed, 0.5, is_right))


@torch.no_grad()
def test_a_huge_score_of_a_source_that_is_not_allowed_changes_nothing() -> None:
    allowed = torch.ones(5, 5, dtype=torch.bool).tril(-1)
    scores = torch.randn(1, 1, 5, 5, generator=torch.Generator().manual_seed(2))
    none = torch.zeros(1, 1, 1)
    expected = BrokenSticks.apply(scores, none, allowed, 1.0, False)
    found = BrokenSticks.apply(scores.masked_fill(~allowed, 1e4), none, allowed, 1.0, False)
    assert torch.equal(found, expected)


@torch.no_grad()
def test_before_anything_is_learned_heads_stop_at_their_reach() -> None:
    config = GlomoConfig(**SIZES, n_heads=4, fixed_windows=(1,), reach=(1.1, 3, 13))
    nothing = torch.zeros(1, 3, 1, 400)
    far = torch.full((1, 400), True)
    weights = StickBreaking(config)(Scores(nothing, nothing, far, torch.tensor([400]), 0, None))
    mean_distance = (weights[0, :, 0] * torch.arange(400, 0, -1)).sum(-1)
    torch.testing.assert_close(mean_distance, torch.tensor(config.reach), rtol=1e-4, atol=0)


@pytest.mark.parametrize("reach", [(3, 13), (1, 3, 13, 400)], ids=["too few", "not above 1"])
def test_a_reach_that_does_not_fit_is_refused(reach: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"\[G101\] reach must be 4 distances above 1"):
        GlomoConfig(**SIZES, n_heads=4, reach=reach)
