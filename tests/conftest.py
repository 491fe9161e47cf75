"""What every test shares: a fixed seed and one thread, so that a result never depends on order or machine load."""

import os
import random
from pathlib import Path

# Set before torch is imported. Two tests in two processes then share two cores fairly, and sums have one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Charts and progress bars of subprocesses write plain text of a known width.
os.environ.setdefault("COLUMNS", "120")
os.environ.setdefault("NO_COLOR", "1")

import numpy
import pytest
import torch

from glomo_spacy.files import sha256_of
from glomo_spacy.indexers import CharIndexer, VocabularyIndexer, WordIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.elmo import BiLM, ElmoConfig
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig
from glomo_spacy.models.qa import ReaderConfig, ReaderModel
from glomo_spacy.models.qa.inputs import reader_indexer

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed_everything() -> None:
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def elmo_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A biLM small enough for every test: two layers, width 8, random weights in half precision, far from symmetric."""
    return save_random_bilm(tmp_path_factory.mktemp("elmo") / "tiny", scale=3.0)


@pytest.fixture(scope="session")
def calm_elmo_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same with smaller weights: those of `elmo_checkpoint` multiply rounding a hundredfold in long texts."""
    return save_random_bilm(tmp_path_factory.mktemp("elmo") / "calm", scale=2.0)


def save_random_bilm(directory: Path, *, scale: float) -> str:
    torch.manual_seed(0)
    filters = ((1, 4), (2, 4), (3, 8))
    config = ElmoConfig(char_width=4, filters=filters, n_highway=1, projection_width=4, cell_width=8)
    model = BiLM(config)
    for parameter in model.parameters():
        parameter.data.mul_(scale)
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


@pytest.fixture(scope="session")
def reader_checkpoint(tmp_path_factory: pytest.TempPathFactory, elmo_checkpoint: str) -> str:
    """A reader small enough for every test that uses all there is: word vectors, characters, a biLM, graphs on states.

    Its weights are random and far from equal, so that the best answer is clear.
    """
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("reader")
    words = ["the", "dog", "cat", "sees", "Who", "?", "."]
    sizes = {"width": 8, "n_layers": 2, "n_heads": 2, "head_width": 4, "n_key_layers": 1, "n_query_layers": 1}
    graphs = GlomoModel(GlomoConfig(vocab_size=len(words) + 1, sparsity="softmax", n_decoder_layers=1, **sizes))
    vocab = [*words, "<unk>"]
    indexer = WordIndexer(vocab).config
    save_checkpoint(folder / "graphs", graphs, indexer=indexer, vocab=vocab, meta={}, dtype=torch.float16)
    config = ReaderConfig(
        n_words=len(vocab),
        word_width=6,
        elmo_layers=2,
        elmo_width=8,
        characters="abcdefghijklmnopqrstuvwxyz",
        char_channels=4,
        graph="states",
        graph_layers=2,
        graph_heads=2,
        graph_source=str(folder / "graphs"),
        graph_sha256=sha256_of(folder / "graphs" / "model.safetensors"),
        elmo_source=elmo_checkpoint,
        elmo_sha256=sha256_of(f"{elmo_checkpoint}/model.safetensors"),
        encoder_width=4,
        hidden_width=4,
        model_width=4,
    )
    torch.manual_seed(1)  # whatever graphs drew before
    model = ReaderModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    section = reader_indexer(words, lang="en").config
    save_checkpoint(folder / "reader", model, indexer=section, vocab=vocab, meta={}, dtype=torch.float16)
    return str(folder / "reader")
