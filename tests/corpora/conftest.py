"""Corpora of known ids, made without text."""

from itertools import accumulate

import numpy as np
import pytest

from glomo_spacy.corpora.shard_writer import write_record, write_shards
from glomo_spacy.corpora.shards import ShardedCorpus
from glomo_spacy.indexers import WordIndexer

N_WORDS = 4000


@pytest.fixture
def make_corpus(tmp_path):
    """Write documents of these lengths as the training split; returns the opened corpus.

    Ids count on from one document to the next, so that an id tells where in the corpus it stands.
    """

    def make(lengths, *, shard_tokens=1000, name="corpus"):
        folder = tmp_path / name
        folder.mkdir()
        words = [*(f"w{index}" for index in range(N_WORDS - 1)), "<unk>"]
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf8")
        (folder / "counts.txt").write_text("1\n" * N_WORDS)
        sizes = write_shards(
            folder,
            split="train",
            tokens=np.arange(sum(lengths), dtype=np.uint32),
            ends=list(accumulate(lengths)),
            documents=np.arange(len(lengths)),
            final_ids=np.arange(N_WORDS, dtype=np.uint16),
            is_unknown=np.arange(N_WORDS) == N_WORDS - 1,
            shard_tokens=shard_tokens,
        )
        record = {
            "format_version": 1,
            "indexer": WordIndexer(words).config,
            "n_words": N_WORDS,
            "splits": {"train": sizes},
        }
        write_record(folder, record=record)
        return ShardedCorpus(folder)

    return make
