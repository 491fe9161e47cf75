"""A language model that is small and far from uniform, and a text with words that it does not know."""

import numpy as np
import pytest
import torch

from glomo_spacy.corpora import SentenceList
from glomo_spacy.indexers import VocabularyIndexer
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig

WORDS = ["<S>", "</S>", "<UNK>", *"abcdefgh"]


@pytest.fixture
def make_model():
    """Build a language model in evaluation mode, with any settings."""

    def make(**settings):
        torch.manual_seed(3)
        sizes = {"embedding_width": 6, "hidden_width": 6, "rounds": 2, "spelling_width": 4, **settings}
        model = LanguageModel(MogrifierConfig(vocab_size=len(WORDS), **sizes))
        for parameter in model.parameters():
            parameter.data.mul_(2.0)
        model.attach_indexer(VocabularyIndexer(WORDS))
        return model.eval()

    return make


@pytest.fixture
def sentences():
    """Some 90 tokens in 12 sentences, every tenth of them unknown."""
    rng = np.random.default_rng(0)
    letters = [*"abcdefgh", "strange"]
    return [list(rng.choice(letters, size=rng.integers(4, 12))) for _ in range(12)]


@pytest.fixture
def text(sentences):
    """The sentences as a text to be measured."""
    return SentenceList(sentences)
