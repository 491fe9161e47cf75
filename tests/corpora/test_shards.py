"""A corpus of token ids on disk."""

import json

import numpy as np
import pytest

from glomo_spacy.corpora import shard_writer
from glomo_spacy.corpora.shards import ShardedCorpus

LENGTHS = [3, 1, 4, 10, 2, 5]
DOCUMENTS = [[0, 1, 2], [3], [4, 5, 6, 7], list(range(8, 18)), [18, 19], [20, 21, 22, 23, 24]]
N_WORDS = 4000


def test_documents_come_back_in_order(make_corpus):
    corpus = make_corpus(LENGTHS, shard_tokens=9)
    assert len(corpus.shard_names) == 2
    assert (corpus.n_documents, corpus.n_tokens, corpus.longest_document) == (6, 25, 10)
    assert [document.tolist() for document in corpus.documents()] == DOCUMENTS
    assert all(document.dtype == np.int64 for document in corpus.documents())


def test_shuffle_keeps_every_document_and_depends_on_seed_and_epoch(make_corpus):
    corpus = make_corpus([7] * 40, shard_tokens=70)
    orders = [
        [document.tolist() for document in corpus.documents(seed=seed, epoch=epoch)]
        for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] != orders[3] != orders[0]
    assert all(sorted(order) == [document.tolist() for document in corpus.documents()] for order in orders)


@pytest.mark.parametrize("shard_tokens", [1, 4, 9, 25, 1000])
def test_document_is_never_divided_between_shards(make_corpus, shard_tokens):
    corpus = make_corpus(LENGTHS, shard_tokens=shard_tokens)
    assert [document.tolist() for document in corpus.documents()] == DOCUMENTS
    sizes = [len(corpus.shard(index).ids) for index in range(len(corpus.shard_names))]
    assert sum(sizes) == 25
    assert max(sizes) <= shard_tokens + 10  # the longest document


def test_indexer_and_counts_belong_to_the_corpus(make_corpus):
    corpus = make_corpus(LENGTHS)
    assert corpus.indexer.config == {"kind": "words", "digits": True, "casing": "lower", "lang": "en"}
    assert corpus.counts.tolist() == [1] * N_WORDS
    assert len(corpus.words) == N_WORDS


def test_fingerprint_tells_corpora_apart(make_corpus):
    first, same, other = (
        make_corpus(lengths, name=name) for lengths, name in ((LENGTHS, "a"), (LENGTHS, "b"), ([1], "c"))
    )
    assert first.fingerprint == same.fingerprint != other.fingerprint


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _rewrite(path, array):
    np.save(path, array)


DAMAGES = {
    "missing ids": (lambda d: (d / "train-00000.ids.npy").unlink(), "G902", "train-00000.ids.npy is missing"),
    "missing offsets": (lambda d: (d / "train-00000.docs.npy").unlink(), "G902", "train-00000.docs.npy is missing"),
    "missing words": (lambda d: (d / "vocab.txt").unlink(), "G902", "vocab.txt is missing"),
    "missing counts": (lambda d: (d / "counts.txt").unlink(), "G902", "counts.txt is missing"),
    "missing record": (lambda d: (d / "corpus.json").unlink(), "G903", "not a prepared corpus.*corpus.json"),
    "cut ids": (lambda d: _cut(d / "train-00000.ids.npy"), "G902", "no whole array"),
    "empty ids": (lambda d: (d / "train-00000.ids.npy").write_bytes(b""), "G902", "no whole array"),
    "cut record": (lambda d: _cut(d / "corpus.json") or _cut(d / "corpus.json"), "G902", "not a whole record"),
    "fewer words": (lambda d: (d / "vocab.txt").write_text("a\n<unk>\n"), "G902", f"must have {N_WORDS} lines"),
    "counts that are words": (lambda d: (d / "counts.txt").write_text("a\n"), "G902", "counts.txt"),
    "id beyond the words": (
        lambda d: _rewrite(d / "train-00000.ids.npy", np.array([N_WORDS] * 25, np.uint16)),
        "G902",
        f"id {N_WORDS} is beyond the {N_WORDS} words",
    ),
    "negative id": (
        lambda d: _rewrite(d / "train-00000.ids.npy", np.array([-1] * 25)),
        "G902",
        "int64 of rank 1",
    ),
    "floats": (lambda d: _rewrite(d / "train-00000.ids.npy", np.zeros(25)), "G902", "float64 of rank 1"),
    "two dimensions": (lambda d: _rewrite(d / "train-00000.ids.npy", np.zeros((5, 5), np.uint16)), "G902", "of rank 2"),
    "offsets of another shard": (
        lambda d: _rewrite(d / "train-00000.docs.npy", np.array([0, 24])),
        "G902",
        "offsets do not fit",
    ),
    "other text": (
        lambda d: (
            _rewrite(d / "train-00000.ids.npy", np.array([1, 1], np.uint16)),
            _rewrite(d / "train-00000.docs.npy", np.array([0, 2])),
        ),
        "G902",
        "1 documents of 2 tokens, not 6 of 25",
    ),
}


@pytest.mark.parametrize("damage, code, text", DAMAGES.values(), ids=list(DAMAGES))
def test_damaged_corpus_is_one_clear_error(make_corpus, damage, code, text):
    directory = make_corpus(LENGTHS).directory
    damage(directory)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^\[{code}\] .*{text}"):
        ShardedCorpus(directory)


def test_pickled_array_is_not_loaded(make_corpus):
    directory = make_corpus(LENGTHS).directory
    np.save(directory / "train-00000.ids.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"^\[G902\].*no whole array"):
        ShardedCorpus(directory)


def test_other_format_version_is_refused(make_corpus):
    directory = make_corpus(LENGTHS).directory
    record = json.loads((directory / "corpus.json").read_text())
    (directory / "corpus.json").write_text(json.dumps({**record, "format_version": 2}))
    with pytest.raises(ValueError, match=r"^\[G904\].*format 2, but this version reads format 1"):
        ShardedCorpus(directory)


def test_unknown_split_lists_the_known_ones(make_corpus):
    directory = make_corpus(LENGTHS).directory
    with pytest.raises(ValueError, match=r"^\[G905\].*no split 'dev'. It has: train"):
        ShardedCorpus(directory, split="dev")


@pytest.mark.parametrize("block", [1, 2, 5, 1000])
@pytest.mark.parametrize("documents", [[0, 1, 2, 3], [3, 0, 2], [2, 1]])
def test_documents_are_written_in_blocks_of_any_size(tmp_path, monkeypatch, block, documents):
    monkeypatch.setattr(shard_writer, "_BLOCK", block)
    texts = np.split(np.arange(12, dtype=np.uint32), [4, 5, 10])
    sizes = shard_writer.write_shards(
        tmp_path,
        split="dev",
        tokens=np.concatenate(texts),
        ends=[4, 5, 10, 12],
        documents=np.array(documents),
        final_ids=np.arange(100, 112, dtype=np.uint16),
        is_unknown=np.arange(112) == 104,
        shard_tokens=100,
    )
    expected = np.concatenate([texts[document] for document in documents]) + 100
    assert np.load(tmp_path / "dev-00000.ids.npy").tolist() == expected.tolist()
    assert sizes["unknown"] == int(1 in documents)
