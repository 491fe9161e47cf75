"""A small checkpoint with random weights, whose graphs are not empty."""

from pathlib import Path

import pytest
import torch

from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models.checkpoint import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

WORDS = ["N", "she", "discovered", "radium", "because", "won", "two", "prizes", "the", "cat", "sat", ".", "<unk>"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory: two layers of three heads per direction, of which one looks at the word before."""
    torch.manual_seed(0)
    config = GlomoConfig(
        vocab_size=len(WORDS),
        width=12,
        n_layers=2,
        n_heads=3,
        n_key_layers=1,
        n_query_layers=1,
        sparsity="square",
        fixed_windows=(1,),
    )
    directory = tmp_path_factory.mktemp("checkpoint") / "tiny"
    indexer = WordIndexer(WORDS).config
    meta = {"data": {"name": "random", "licence": "CC0"}, "seed": 0}
    save_checkpoint(directory, GlomoModel(config), indexer=indexer, vocab=WORDS, meta=meta)
    return directory
