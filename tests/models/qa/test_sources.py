"""Frozen models as sources of a reader's inputs."""

import pytest
import torch

from glomo_spacy.files import sha256_of
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.checkpoint import read_checkpoint
from glomo_spacy.models.qa import ReaderConfig
from glomo_spacy.models.qa.sources import ElmoSource, GraphSource, load_sources

TEXTS = [["the", "dog", "sees", "the", "cat"], ["Who", "?"]]


@pytest.fixture(scope="module")
def config(reader_checkpoint):
    return ReaderConfig.from_dict(read_checkpoint(reader_checkpoint).model)


@pytest.fixture(scope="module")
def elmo_config(elmo_checkpoint):
    return ReaderConfig(elmo_layers=2, elmo_width=8, elmo_source=elmo_checkpoint)


def test_graphs_are_those_of_the_model_one_text_at_a_time(config):
    source = GraphSource.load(str(config.graph_source))
    ids = torch.zeros(2, 5, dtype=torch.int64)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    for row, text in enumerate(TEXTS):
        ids[row, : len(text)] = torch.from_numpy(source.indexer.ids(text))
        mask[row, : len(text)] = True
    layers = source.graphs(ids, mask)
    assert [tuple(layer.shape) for layer in layers] == [(2, 2, 5, 5)] * 4
    for row, text in enumerate(TEXTS):
        alone = load_checkpoint(str(config.graph_source)).graphs(ids[row : row + 1, : len(text)])[0]
        found = torch.stack(layers)[:, row]
        torch.testing.assert_close(found[..., : len(text), : len(text)], alone)
        assert not found[..., len(text) :, :].any()
        assert not found[..., len(text) :].any()


def test_layers_are_those_of_the_model_padded_with_zeros(elmo_checkpoint):
    found = ElmoSource.load(elmo_checkpoint).layers(TEXTS)
    assert found.shape == (2, 3, 5, 8)
    for row, layers in enumerate(load_checkpoint(elmo_checkpoint).layers(TEXTS)):
        torch.testing.assert_close(found[row, :, : layers.shape[1]], torch.from_numpy(layers))
    assert not found[1, :, 2:].any()


def test_a_source_takes_no_gradient_and_stays_in_evaluation_mode(config):
    for source in load_sources(config):
        assert source is not None
        torch.nn.ModuleList([source]).train()
        assert not any(module.training for module in source.modules())
        assert not any(parameter.requires_grad for parameter in source.parameters())


def test_a_reader_gets_the_sources_it_names(config):
    graphs, elmo = load_sources(config)
    assert graphs is not None
    assert elmo is not None
    assert graphs.sha256 == sha256_of(f"{config.graph_source}/model.safetensors")
    assert (graphs.sizes, elmo.sizes) == ((2, 2), (2, 8))
    assert load_sources(ReaderConfig(feature_width=4)) == (None, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"elmo_source": None}, r"\[G350\] This reader needs a frozen model, but elmo_source is null"),
        ({"elmo_width": 16}, r"\[G351\] elmo_source = .*: found \(2, 8\), expected \(2, 16\)"),
        ({"elmo_sha256": "0" * 64}, r"\[G351\] elmo_source = .* is another model .* expected 0000"),
    ],
    ids=["none named", "other size", "other weights"],
)
def test_another_model_is_refused(changes, message, elmo_config):
    with pytest.raises(ValueError, match=message):
        load_sources(ReaderConfig(**{**vars(elmo_config), **changes}))


def test_a_checkpoint_of_another_kind_is_refused(elmo_checkpoint):
    with pytest.raises(ValueError, match=r"\[G203\].*kind 'elmo', but 'glomo'"):
        GraphSource.load(elmo_checkpoint)
