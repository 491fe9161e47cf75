"""A checkpoint small enough for every test, whose graphs are dense: pruning, windows and order all show; and every
component that takes one, for what they have in common."""

import numpy as np
import pytest
import spacy
import torch
from pipeline.components import COMPONENTS, Component
from spacy.language import Language

import glomo_spacy.architectures.pretrained as pretrained
from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

WORDS = ["the", "a", "small", "big", "red", "dog", "cat", "sees", "hears", ".", "N", "<unk>"]
TEXT = "The small dog sees a big red cat."


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two layers of two learned soft-max heads per direction, random weights, stored in half precision."""
    torch.manual_seed(0)
    sizes = {"width": 8, "n_layers": 2, "n_heads": 2, "head_width": 4, "n_key_layers": 1, "n_query_layers": 1}
    model = GlomoModel(GlomoConfig(vocab_size=len(WORDS), sparsity="softmax", n_decoder_layers=1, **sizes))
    torch.nn.init.normal_(model.embedding.weight, std=3.0)  # far apart, so that rows differ by word
    directory = tmp_path_factory.mktemp("weights") / "tiny"
    indexer = WordIndexer(WORDS).config
    save_checkpoint(directory, model, indexer=indexer, vocab=WORDS, meta={"seed": 0}, dtype=torch.float16)
    return str(directory)


@pytest.fixture
def nlp(checkpoint: str) -> Language:
    """A pipeline with `glomo_graph` alone."""
    nlp = spacy.blank("en")
    nlp.add_pipe("glomo_graph", config={"pretrained": checkpoint})
    return nlp


@pytest.fixture
def no_packaged_weights(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Make the packaged weights unreachable."""
    monkeypatch.setattr(pretrained, "PACKAGED", tmp_path / "nowhere")


@pytest.fixture(params=list(COMPONENTS))
def component(request: pytest.FixtureRequest) -> Component:
    """Each component whose weights come from a checkpoint."""
    return COMPONENTS[request.param]


@pytest.fixture
def source(component: Component, request: pytest.FixtureRequest) -> str:
    """The component's tiny checkpoint."""
    return str(request.getfixturevalue(component.checkpoint_fixture))


@pytest.fixture
def expected(component: Component, source: str) -> np.ndarray:
    """What a pipeline finds that was simply built and called."""
    found = component.find(component.build(source))
    assert found.any()
    return found
