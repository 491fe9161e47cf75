"""Graphs along parsed trees: against plain loops over heads, dependents and windows."""

import numpy as np
import pytest
import torch

from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.glomo.config import WHOLE_PAST
from glomo_spacy.models.glomo.trees import TreeConfig, TreeGraphs
from glomo_spacy.models.qa.graph_store import GraphStore
from glomo_spacy.models.qa.sources import GraphSource

TEXTS = [[1, 2, 3, 1, 4], [2, 3], [5]]
HEADS = [[1, 1, 1, 4, 1], [1, 1], [0]]  # places; a root's is its own
SEQ = 5


@pytest.fixture
def trees():
    return TreeGraphs.of_texts(TEXTS, HEADS, vocab_size=6)


@pytest.fixture
def batch():
    ids, mask = torch.zeros(3, SEQ, dtype=torch.int64), torch.zeros(3, SEQ, dtype=torch.bool)
    for row, text in enumerate(TEXTS):
        ids[row, : len(text)], mask[row, : len(text)] = torch.tensor(text), True
    return ids, mask


def by_loops(heads, windows):
    """(layers of both directions, heads, receiver, source), from the definition."""
    n = len(heads)
    graphs = np.zeros((4, len(windows) + 1, n, n))
    for receiver in range(n):
        head = [heads[receiver]]
        dependents = [word for word in range(n) if heads[word] == receiver]
        for layer, linked in ((0, head), (1, dependents), (2, head), (3, dependents)):
            side = range(receiver) if layer < 2 else range(receiver + 1, n)
            rows = [[s for s in side if window == WHOLE_PAST or abs(receiver - s) <= window] for window in windows]
            for number, sources in enumerate([*rows, [s for s in side if s in linked]]):
                for source in sources:
                    graphs[layer, number, receiver, source] = 1 / len(sources)
    return graphs


def test_edges_lead_to_heads_then_to_dependents_beside_fixed_windows(trees, batch):
    layers = torch.stack(list(trees.iter_graphs(*batch)), dim=1)
    assert layers.shape == (3, 4, 5, SEQ, SEQ)
    for row, heads in enumerate(HEADS):
        n = len(heads)
        np.testing.assert_allclose(layers[row, :, :, :n, :n], by_loops(heads, trees.config.fixed_windows), atol=1e-7)
        assert not layers[row, :, :, n:].any()
        assert not layers[row, ..., n:].any()


def test_without_mask_every_token_is_real(trees):
    (graph, *_) = trees.iter_graphs(torch.tensor(TEXTS[:1]))
    assert graph[0, -1].tolist()[2] == [0, 1, 0, 0, 0]


def test_a_text_that_was_not_parsed_is_an_error(trees):
    with pytest.raises(ValueError, match=r"\[G360\] None of the 3 trees is of this text of 2 tokens"):
        list(trees.iter_graphs(torch.tensor([[3, 2]])))


def test_a_reader_takes_them_from_a_checkpoint_as_it_takes_learned_graphs(trees, batch, tmp_path):
    words = ["a", "b", "c", "d", "e", "<unk>"]
    indexer = {"kind": "words", "digits": False, "casing": "exact", "lang": "en"}
    save_checkpoint(tmp_path / "trees", trees, indexer=indexer, vocab=words, meta={})
    source = GraphSource.load(str(tmp_path / "trees"))
    assert source.sizes == (2, 5)
    assert source.indexer.ids(["b", "new"]).tolist() == [1, 5]
    expected = list(trees.iter_graphs(*batch))
    for found in (source.graphs(*batch), GraphStore(source, tmp_path / "store").graphs(*batch)):
        for layer, graph in zip(found, expected, strict=True):
            assert torch.equal(layer, graph)


def test_no_texts_are_no_trees(tmp_path):
    empty = TreeGraphs.of_texts([], [], vocab_size=1)
    save_checkpoint(tmp_path / "none", empty, indexer={}, vocab=["<unk>"], meta={})
    assert load_checkpoint(tmp_path / "none").config == TreeConfig(1, 0, 0)


@pytest.mark.parametrize("value", [-1, 2.5])
def test_sizes_are_whole_numbers(value):
    with pytest.raises(ValueError, match=r"\[G101\].*n_texts.*a whole number"):
        TreeConfig(vocab_size=3, n_texts=value, n_tokens=3)
