"""Graphs on disk: those that are computed, whatever stands there and whoever stands beside a text."""

import pytest
import torch

from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.models.qa.graph_store import GraphStore
from glomo_spacy.models.qa.sources import GraphSource

LENGTHS = (5, 1, 9, 3)


def source_of(sha256="weights", **options):
    torch.manual_seed(0)
    model = GlomoModel(GlomoConfig(vocab_size=50, width=8, n_layers=2, n_heads=4, head_width=4, **options))
    return GraphSource(model, indexer=None, sha256=sha256)


@pytest.fixture(params=[(2, -1), (), (1, 2, 3, -1)], ids=["windows-and-learned", "learned", "windows"])
def source(request):
    return source_of(fixed_windows=list(request.param))


def texts(*numbers):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(50, (len(LENGTHS), max(LENGTHS)), generator=generator)
    lengths = torch.tensor([LENGTHS[number] for number in numbers])
    longest = int(lengths.max())
    mask = torch.arange(longest) < lengths[:, None]
    return torch.where(mask, ids[list(numbers), :longest], 7), mask  # any id at padding


def files_of(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_graphs_are_those_of_the_source_when_computed_and_when_read(source, tmp_path):
    batch = texts(0, 1, 2, 3)
    expected = source.graphs(*batch)
    for _ in range(2):
        for layer, graph in zip(GraphStore(source, tmp_path).graphs(*batch), expected, strict=True):
            torch.testing.assert_close(layer, graph, atol=1e-6, rtol=0)
    assert len(files_of(tmp_path)) == len(LENGTHS)


def test_company_and_what_is_stored_never_move_a_bit(source, tmp_path):
    store = GraphStore(source, tmp_path / "one")
    alone = [layer[0].clone() for layer in store.graphs(*texts(0))]
    together = store.graphs(*texts(2, 0))
    anew = GraphStore(source, tmp_path / "two").graphs(*texts(3, 2, 0))
    for layers, row in ((together, 1), (anew, 2)):
        for layer, graph in zip(layers, alone, strict=True):
            assert torch.equal(layer[row, :, :5, :5], graph)
            assert not layer[row, :, 5:].any()
            assert not layer[row, :, :, 5:].any()


def test_what_is_stored_is_not_computed_again(tmp_path, monkeypatch):
    source = source_of(fixed_windows=[2])
    store = GraphStore(source, tmp_path)
    store.graphs(*texts(0, 2))
    monkeypatch.setattr(source.model, "iter_graphs", None)
    store.graphs(*texts(2, 0))


def test_a_file_that_is_not_whole_is_written_again(tmp_path):
    store = GraphStore(source_of(), tmp_path)
    expected = store.graphs(*texts(0))
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    for layer, graph in zip(store.graphs(*texts(0)), expected, strict=True):
        assert torch.equal(layer, graph)
    assert path.read_bytes() == whole


def test_graphs_of_other_weights_are_not_found(tmp_path):
    for sha256 in ("first", "second"):
        GraphStore(source_of(sha256), tmp_path).graphs(*texts(0))
    assert len(files_of(tmp_path)) == 2
