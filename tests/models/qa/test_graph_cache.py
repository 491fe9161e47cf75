"""Graphs that are kept: the same as computed ones, in bounded memory."""

import torch

from glomo_spacy.models.qa.graph_cache import GraphCache

LENGTHS = (3, 5, 2, 4)
N_LAYERS, N_HEADS = 4, 2


class Graphs:
    """Graphs that depend on the words of a text alone, and how many texts they were asked of."""

    def __init__(self):
        self.n_texts = 0

    def __call__(self, ids, mask):
        self.n_texts += len(ids)
        pairs = ids[:, :, None] * 10.0 + ids[:, None]
        both = mask[:, :, None] & mask[:, None]
        layer = (pairs * both)[:, None].expand(-1, N_HEADS, -1, -1)
        return [layer + both[:, None] * number for number in range(N_LAYERS)]


def texts(*numbers):
    longest = max(LENGTHS[number] for number in numbers)
    mask = torch.tensor([[place < LENGTHS[number] for place in range(longest)] for number in numbers])
    ids = torch.arange(longest) + 7 * torch.tensor(numbers)[:, None]
    return ids * mask + 99 * ~mask, mask  # any id at padding


def assert_like_computed(cache, compute, *numbers):
    found = cache.graphs(*texts(*numbers), compute)
    for layer, expected in zip(found, Graphs()(*texts(*numbers)), strict=True):
        torch.testing.assert_close(layer, expected)


def test_each_text_is_computed_once_whatever_its_company():
    cache, compute = GraphCache(1_000_000), Graphs()
    for numbers in ((0, 1), (1, 2), (2, 0), (3, 3), (1,)):
        assert_like_computed(cache, compute, *numbers)
    assert compute.n_texts == 2 + 1 + 0 + 2 + 0
    assert len(cache) == 4


def test_a_full_cache_keeps_what_it_has_within_its_bounds():
    size = N_LAYERS * N_HEADS * 4 * (3**2 + 2**2)
    cache, compute = GraphCache(size), Graphs()
    for numbers in ((0, 1), (2, 1), (3, 0)):
        assert_like_computed(cache, compute, *numbers)
    assert cache.n_bytes == size
    assert (len(cache), compute.n_texts) == (2, 2 + 2 + 1)


def test_without_room_nothing_is_kept():
    cache, compute = GraphCache(0), Graphs()
    for _ in range(2):
        assert_like_computed(cache, compute, 0, 1)
    assert (len(cache), compute.n_texts) == (0, 4)
