"""A checkpoint small enough to run in every test."""

from pathlib import Path

import pytest
import torch

from glomo_spacy.indexers import WordIndexer
from glomo_spacy.models import save_checkpoint
from glomo_spacy.models.glomo import GlomoConfig, GlomoModel

WORDS = ["the", "a", "small", "big", "red", "dog", "cat", "sees", "hears", ".", "<unk>"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two layers of two heads per direction: the previous (or next) token, and one learned head with random weights."""
    torch.manual_seed(0)
    model = GlomoModel(
        GlomoConfig(
            vocab_size=len(WORDS),
            width=8,
            n_layers=2,
            n_heads=2,
            head_width=4,
            n_key_layers=1,
            n_query_layers=1,
            sparsity="relu",
            fixed_windows=(1,),
            n_decoder_layers=1,
        )
    )
    torch.nn.init.normal_(model.embedding.weight)  # far apart, so that rows of the learned head differ by word
    directory: Path = tmp_path_factory.mktemp("weights") / "tiny"
    save_checkpoint(directory, model, indexer=WordIndexer(WORDS).config, vocab=WORDS, meta={})
    return str(directory)
