"""What every test shares: a fixed seed and one thread, so that a result never depends on order or machine load."""

import os
import random

# Set before torch is imported. Two tests in two processes then share two cores fairly, and sums have one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Charts and progress bars of subprocesses write plain text of a known width.
os.environ.setdefault("COLUMNS", "120")
os.environ.setdefault("NO_COLOR", "1")

import numpy
import pytest
import torch

from glomo_spacy.indexers import CharIndexer, VocabularyIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed_everything() -> None:
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def elmo_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A biLM small enough for every test: two layers, width 8, random weights in half precision, far from symmetric."""
    torch.manual_seed(0)
    filters = ((1, 4), (2, 4), (3, 8))
    config = ElmoConfig(char_width=4, filters=filters, n_highway=1, projection_width=4, cell_width=8)
    model = BiLM(config)
    for parameter in model.parameters():
        parameter.data.mul_(3.0)
    directory = tmp_path_factory.mktemp("elmo") / "tiny"
    save_checkpoint(directory, model, indexer=CharIndexer().config, vocab=None, meta={}, dtype=torch.float16)
    return str(directory)


@pytest.fixture(scope="session")
def mogrifier_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A language model small enough for every test: two layers, width 8, random weights in half precision."""
    torch.manual_seed(0)
    words = ["<S>", "</S>", "<UNK>", "the", "a", ".", "dog", "cat", "small", "big", "red", "sees", "hears", "The"]
    config = MogrifierConfig(
        vocab_size=len(words), embedding_width=6, hidden_width=8, n_layers=2, rank=3, spelling_width=8
    )
    model = LanguageModel(config)
    for parameter in model.parameters():
        parameter.data.mul_(2.0)  # far from equal, so that order and words show
    directory = tmp_path_factory.mktemp("mogrifier") / "tiny"
    indexer = VocabularyIndexer(words).config
    save_checkpoint(directory, model, indexer=indexer, vocab=words, meta={}, dtype=torch.float16)
    return str(directory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
