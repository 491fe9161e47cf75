"""Windows for training and evaluation."""

import json
from itertools import accumulate, chain, count, islice, pairwise

import pytest
import torch

from glomo_spacy.corpora import EvalWindows, RandomWindows

LENGTHS = [60, 5, 80, 41, 100, 64, 39, 77, 120, 50]


def _take(windows, n):
    return [batch.tolist() for batch in islice(windows, n)]


def test_streams_read_on_with_the_stride_and_change_documents_when_too_little_is_left(make_corpus):
    corpus = make_corpus([10, 3, 7])
    windows = RandomWindows(corpus, batch_size=1, bptt=4, shift=3, vary=False)
    first_epoch = [batch[0][0] for batch in _take(windows, 5)]
    # windows begin at 0, 3, 6 in the document of ten; at 13, 16 in that of seven; the one of three is too short
    assert first_epoch in ([0, 3, 6, 13, 16], [13, 16, 0, 3, 6])
    assert all(row == list(range(row[0], row[0] + 4)) for batch in _take(windows, 5) for row in batch)


def test_parallel_streams_follow_the_published_order(make_corpus):
    corpus = make_corpus(LENGTHS, shard_tokens=150)
    windows = RandomWindows(corpus, batch_size=3, bptt=30, shift=12, seed=2, vary=False)
    queue = chain.from_iterable(map(list, corpus.documents(seed=2, epoch=epoch)) for epoch in count())
    streams = [[], [], []]
    for batch in _take(windows, 50):
        for index, row in enumerate(batch):
            while len(streams[index]) < 30:
                streams[index] = next(queue)
            assert row == list(streams[index][:30])
            streams[index] = streams[index][12:]


def test_lengths_and_strides_vary_as_published(make_corpus):
    corpus = make_corpus([3900])
    windows = RandomWindows(corpus, batch_size=1, bptt=200, shift=100, seed=3)
    batches = [batch[0] for batch in islice(windows, 36)]
    lengths = [len(row) for row in batches]
    assert min(lengths) >= 102
    assert max(lengths) <= 200
    assert len(set(lengths)) > 15
    strides = [int(after[0] - before[0]) for before, after in pairwise(batches)]
    assert set(strides[:35]) <= set(range(90, 111))
    assert len(set(strides)) > 8


def test_every_window_lies_within_one_document(make_corpus):
    ends = {end - 1 for end in accumulate(LENGTHS)}
    windows = RandomWindows(make_corpus(LENGTHS, shard_tokens=150), batch_size=4, bptt=40, shift=20)
    for batch in islice(windows, 60):
        assert batch.dtype == torch.int64
        for row in batch.tolist():
            assert row == list(range(row[0], row[0] + len(row)))
            assert not ends & set(row[:-1])


def test_streams_share_one_queue_of_documents(make_corpus):
    windows = RandomWindows(make_corpus([50] * 12, shard_tokens=200), batch_size=3, bptt=50, shift=50, vary=False)
    begun = [row[0] for batch in _take(windows, 4) for row in batch]
    assert sorted(begun) == list(range(0, 600, 50))
    assert windows.epoch == 1.0


def test_epochs_differ_in_order_and_progress_never_falls(make_corpus):
    windows = RandomWindows(make_corpus([50] * 12, shard_tokens=200), batch_size=1, bptt=50, shift=50, vary=False)
    progress, begun = [], []
    for batch in islice(windows, 24):
        progress.append(windows.epoch)
        begun.append(int(batch[0, 0]))
    assert progress == pytest.approx([(step + 1) / 12 for step in range(24)])
    assert sorted(begun[:12]) == sorted(begun[12:])
    assert begun[:12] != begun[12:]


def test_same_seed_gives_the_same_windows_and_another_seed_does_not(make_corpus):
    corpus = make_corpus(LENGTHS)
    first, again, other = (
        _take(RandomWindows(corpus, batch_size=2, bptt=40, shift=20, seed=seed), 10) for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("steps_before", [0, 1, 7, 50])
def test_restored_position_continues_bit_for_bit(make_corpus, steps_before):
    corpus = make_corpus(LENGTHS, shard_tokens=150)
    make = lambda: RandomWindows(corpus, batch_size=4, bptt=40, shift=20, seed=5)  # noqa: E731
    windows = make()
    _take(windows, steps_before)
    state = json.loads(json.dumps(windows.state_dict()))
    epoch, expected = windows.epoch, _take(windows, 40)
    again = make()
    _take(again, 3)  # restoring does not depend on where it stood
    again.load_state_dict(state)
    assert again.epoch == epoch
    assert _take(again, 40) == expected
    assert again.state_dict() == windows.state_dict()


def test_size_of_the_state_does_not_grow(make_corpus):
    windows = RandomWindows(make_corpus(LENGTHS), batch_size=4, bptt=40, shift=20)
    _take(windows, 5)
    before = len(json.dumps(windows.state_dict()))
    _take(windows, 300)
    assert len(json.dumps(windows.state_dict())) < before + 40


def test_ranks_together_see_what_one_process_sees(make_corpus):
    corpus = make_corpus(LENGTHS, shard_tokens=150)
    settings = {"batch_size": 6, "bptt": 40, "shift": 20, "seed": 4}
    whole = RandomWindows(corpus, **settings)
    ranks = [RandomWindows(corpus, **settings, rank=rank, world_size=3) for rank in range(3)]
    for expected in _take(whole, 40):
        rows = [row for rank in ranks for row in next(rank).tolist()]
        assert rows == expected
    assert all(rank.state_dict() == whole.state_dict() for rank in ranks)


def test_shards_that_no_stream_reads_are_closed(make_corpus):
    corpus = make_corpus([50] * 60, shard_tokens=100)
    assert len(corpus.shard_names) == 30
    windows = RandomWindows(corpus, batch_size=2, bptt=40, shift=20)
    assert max(len(windows._shards) for _ in islice(windows, 100)) <= 2


def test_state_of_other_settings_or_another_corpus_is_refused(make_corpus):
    corpus = make_corpus(LENGTHS)
    state = RandomWindows(corpus, batch_size=2, bptt=40, shift=20).state_dict()
    with pytest.raises(ValueError, match=r"^\[G907\].*bptt was 40, but is 30"):
        RandomWindows(corpus, batch_size=2, bptt=30, shift=20).load_state_dict(state)
    other = make_corpus([50, 60], name="other")
    with pytest.raises(ValueError, match=r"^\[G907\].*corpus was"):
        RandomWindows(other, batch_size=2, bptt=40, shift=20).load_state_dict(state)


def test_window_larger_than_every_document_is_refused(make_corpus):
    with pytest.raises(ValueError, match=r"^\[G906\] No document of .* has the 121 tokens.* longest has 120"):
        RandomWindows(make_corpus(LENGTHS), batch_size=2, bptt=121)


@pytest.mark.parametrize("name", ["batch_size", "bptt", "shift"])
@pytest.mark.parametrize("windows", [RandomWindows, EvalWindows])
def test_sizes_below_one_are_refused(make_corpus, windows, name):
    sizes = {"batch_size": 2, "bptt": 40, "shift": 20, name: 0}
    with pytest.raises(ValueError, match=rf"^\[G908\] {name} must be at least 1, but is 0"):
        windows(make_corpus([50]), **sizes)


def test_batch_that_processes_cannot_share_is_refused(make_corpus):
    with pytest.raises(ValueError, match=r"^\[G908\] batch_size must be a multiple of the 2 processes, but is 3"):
        RandomWindows(make_corpus([50]), batch_size=3, bptt=40, world_size=2)


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_evaluation_takes_all_windows_of_each_document_once(make_corpus, batch_size):
    # offset back to 0 for each document, a short last window each, the incomplete last batch kept
    windows = EvalWindows(make_corpus([9, 4, 1, 5]), batch_size=batch_size, bptt=4, shift=3)
    batches = list(windows)
    rows = [row[real].tolist() for ids, mask in batches for row, real in zip(ids, mask, strict=True)]
    assert rows == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8], [9, 10, 11, 12], [13], [14, 15, 16, 17], [17, 18]]
    assert windows.n_windows == 7
    assert len(windows) == len(batches) == -(-7 // batch_size)


def test_evaluation_pads_at_the_right(make_corpus):
    ids, mask = next(iter(EvalWindows(make_corpus([3, 2]), batch_size=2, bptt=9, shift=9)))
    assert ids.tolist() == [[0, 1, 2], [3, 4, 0]]
    assert mask.tolist() == [[True, True, True], [True, True, False]]
    assert (ids.dtype, mask.dtype) == (torch.int64, torch.bool)


def test_evaluation_leaves_no_gaps_between_windows(make_corpus):
    with pytest.raises(ValueError, match=r"^\[G908\] shift must be at most bptt = 4, but is 5"):
        EvalWindows(make_corpus([9]), batch_size=1, bptt=4, shift=5)
