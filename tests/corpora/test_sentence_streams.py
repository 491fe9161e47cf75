"""Windows of sentences in both reading directions."""

import json
from itertools import count, islice

import pytest
import torch

from glomo_spacy.corpora import EvalStreams, SentenceCorpus, SentenceStreams
from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentences import prepare_sentences

LENGTHS = [7, 1, 12, 3, 30, 2, 5, 9, 1, 4, 18, 6]
BEGIN, END = 0, 1


@pytest.fixture
def make_sentences(tmp_path):
    """Write sentences of these lengths whose words tell their place, and open the training split."""

    def make(lengths, *, shard_tokens=40, name="corpus"):
        place = count()
        lines = [" ".join(f"w{next(place):05}" for _ in range(length)) for length in lengths]
        (tmp_path / "text.txt").write_text("\n".join(lines))
        settings = SentenceSettings(tokenized=True, lang="xx", dev_documents=0, shard_tokens=shard_tokens)
        prepare_sentences([str(tmp_path / "text.txt")], tmp_path / name, settings=settings)
        return SentenceCorpus(tmp_path / name)

    return make


def _take(streams, n):
    return [[part.tolist() for part in batch] for batch in islice(streams, n)]


def _row(batches, part, row):
    """What one row reads in one part of the batches, one after the other."""
    return [index for batch in batches for index in batch[part][row]]


def _marked(sentences, *, reverse):
    """Sentences between their marks, one after the other: what inputs are, but for each last mark."""
    begin, end = (END, BEGIN) if reverse else (BEGIN, END)
    return [(begin, *(reversed(words) if reverse else words), end) for words in sentences]


def test_rows_read_sentence_after_sentence_in_both_directions(make_sentences):
    corpus = make_sentences(LENGTHS)
    order = [sentence.tolist() for epoch in range(3) for sentence in corpus.documents(seed=4, epoch=epoch)]
    batches = _take(SentenceStreams(corpus, batch_size=1, unroll=5, seed=4), 40)
    for first, reverse in ((0, False), (2, True)):
        marked = _marked(order, reverse=reverse)
        assert _row(batches, first, 0) == [index for words in marked for index in words[:-1]][:200]
        assert _row(batches, first + 1, 0) == [index for words in marked for index in words[1:]][:200]


def test_rows_share_one_queue_and_take_from_it_when_they_are_through(make_sentences):
    corpus = make_sentences(LENGTHS)
    queue = (sentence.tolist() for epoch in count() for sentence in corpus.documents(seed=1, epoch=epoch))
    left = [[], [], []]
    for batch in _take(SentenceStreams(corpus, batch_size=3, unroll=4, seed=1), 60):
        for row in range(3):
            while len(left[row]) < 4:
                left[row] += [BEGIN, *next(queue)]
            assert batch[0][row] == left[row][:4]
            left[row] = left[row][4:]


def test_arrays_are_filled_exactly_and_of_int64(make_sentences):
    batch = next(SentenceStreams(make_sentences(LENGTHS), batch_size=3, unroll=7))
    assert batch._fields == ("forward_inputs", "forward_targets", "backward_inputs", "backward_targets")
    assert all(part.shape == (3, 7) and part.dtype == torch.int64 for part in batch)


def test_one_epoch_has_every_sentence_once(make_sentences):
    corpus = make_sentences([3] * 24, shard_tokens=24)
    assert len(corpus.shard_names) == 3
    streams = SentenceStreams(corpus, batch_size=4, unroll=8, seed=3)  # two sentences a row and batch
    for epoch in range(2):
        assert streams.epoch == epoch
        targets = [index for batch in _take(streams, 3) for row in batch[1] for index in row]
        assert sorted(targets) == sorted([END] * 24 + list(range(3, 75)))


def test_order_depends_on_seed_and_epoch(make_sentences):
    corpus = make_sentences([3] * 24, shard_tokens=24)
    first, same, other = (_take(SentenceStreams(corpus, batch_size=4, unroll=8, seed=seed), 6) for seed in (0, 0, 1))
    assert first == same != other
    assert first[:3] != first[3:]


def test_ids_of_one_shard_come_together(make_sentences):
    corpus = make_sentences([3] * 24, shard_tokens=24)
    rows = [
        set(row) - {BEGIN} for batch in _take(SentenceStreams(corpus, batch_size=2, unroll=16), 3) for row in batch[0]
    ]
    shard_of = {int(index): shard for shard in range(3) for index in corpus.shard(shard).ids}
    order = [shard_of[min(words)] for words in rows]
    assert all(len({shard_of[index] for index in words}) == 1 for words in rows)
    assert order == sorted(order, key=corpus.shard_order(seed=0, epoch=0).index)


@pytest.mark.parametrize("n_before", [0, 1, 17, 90])
def test_continues_exactly_where_it_was_left(make_sentences, n_before):
    corpus = make_sentences(LENGTHS)
    whole = SentenceStreams(corpus, batch_size=3, unroll=4, seed=5)
    _take(whole, n_before)
    state = json.loads(json.dumps(whole.state_dict()))
    other = SentenceStreams(corpus, batch_size=3, unroll=4, seed=5)
    other.load_state_dict(state)
    assert other.epoch == whole.epoch
    assert _take(other, 60) == _take(whole, 60)


def test_position_does_not_grow(make_sentences):
    streams = SentenceStreams(make_sentences(LENGTHS), batch_size=3, unroll=4)
    _take(streams, 1)
    size = len(json.dumps(streams.state_dict()))
    _take(streams, 400)
    assert len(json.dumps(streams.state_dict())) <= size + 20
    assert len(streams._open) == 1


@pytest.mark.parametrize("change", [{"batch_size": 2}, {"unroll": 5}, {"seed": 6}])
def test_position_of_other_settings_is_refused(make_sentences, change):
    corpus = make_sentences(LENGTHS)
    settings = {"batch_size": 3, "unroll": 4, "seed": 5}
    state = SentenceStreams(corpus, **settings).state_dict()
    name, expected = next(iter(change.items()))
    with pytest.raises(ValueError, match=rf"^\[G907\].*{name} was {settings[name]}, but is {expected}"):
        SentenceStreams(corpus, **(settings | change)).load_state_dict(state)


def test_position_in_another_corpus_is_refused(make_sentences):
    state = SentenceStreams(make_sentences(LENGTHS), batch_size=3).state_dict()
    with pytest.raises(ValueError, match=r"^\[G907\].*corpus was"):
        SentenceStreams(make_sentences(LENGTHS[1:], name="other"), batch_size=3).load_state_dict(state)


def test_processes_share_the_batch_of_one(make_sentences):
    corpus = make_sentences(LENGTHS)
    whole = _take(SentenceStreams(corpus, batch_size=4, unroll=6), 30)
    parts = [SentenceStreams(corpus, batch_size=4, unroll=6, rank=rank, world_size=2) for rank in range(2)]
    shares = [_take(part, 30) for part in parts]
    for number, batch in enumerate(whole):
        assert batch == [first + second for first, second in zip(shares[0][number], shares[1][number])]
    assert parts[0].state_dict() == parts[1].state_dict()


@pytest.mark.parametrize("batch_size, unroll", [(1, 1), (2, 5), (3, 20), (50, 4)])
def test_evaluation_scores_every_token_once_in_both_directions(make_sentences, batch_size, unroll):
    corpus = make_sentences(LENGTHS)
    batches = list(EvalStreams(corpus, batch_size=batch_size, unroll=unroll))
    assert sum(int(batch.mask.sum()) for batch in batches) == corpus.n_predictions == sum(LENGTHS) + len(LENGTHS)
    for targets, last in (("forward_targets", END), ("backward_targets", BEGIN)):
        found = sorted(index for batch in batches for index in getattr(batch, targets)[batch.mask].tolist())
        assert found == sorted([last] * len(LENGTHS) + list(range(3, 3 + sum(LENGTHS))))
    for batch in batches:
        assert all(part.shape == (batch_size, unroll) for part in batch)
        assert not any(part[~batch.mask].any() for part in batch)


def test_evaluation_rows_are_ragged_at_their_end_only(make_sentences):
    batches = list(EvalStreams(make_sentences(LENGTHS), batch_size=3, unroll=5))
    mask = torch.cat([batch.mask for batch in batches], dim=1)
    assert (mask.int().diff(dim=1) <= 0).all()
    forward = torch.cat([batch.forward_inputs for batch in batches], dim=1)
    targets = torch.cat([batch.forward_targets for batch in batches], dim=1)
    inside = mask[:, 1:] & (targets[:, :-1] != END)
    assert (forward[:, 1:] == targets[:, :-1])[inside].all()  # a row reads on in the next batch


def test_evaluation_has_the_order_of_the_text(make_sentences):
    corpus = make_sentences(LENGTHS)
    batches = [[part.tolist() for part in batch] for batch in EvalStreams(corpus, batch_size=1, unroll=9)]
    marked = _marked([sentence.tolist() for sentence in corpus.documents()], reverse=False)
    assert _row(batches, 0, 0)[: corpus.n_predictions] == [index for words in marked for index in words[:-1]]


@pytest.mark.parametrize(
    "make",
    [
        lambda corpus: SentenceStreams(corpus, batch_size=0),
        lambda corpus: SentenceStreams(corpus, batch_size=2, unroll=0),
        lambda corpus: SentenceStreams(corpus, batch_size=3, world_size=2),
        lambda corpus: EvalStreams(corpus, batch_size=0),
        lambda corpus: EvalStreams(corpus, batch_size=1, unroll=0),
    ],
)
def test_settings_out_of_range_are_refused(make_sentences, make):
    with pytest.raises(ValueError, match=r"^\[G908\] (batch_size|unroll) must be"):
        make(make_sentences([3]))


def test_a_very_long_sentence_is_read_whole(make_sentences):
    corpus = make_sentences([5000])
    batches = _take(SentenceStreams(corpus, batch_size=1, unroll=1000), 6)
    assert _row(batches, 0, 0)[:5001] == [BEGIN, *range(3, 5003)]
