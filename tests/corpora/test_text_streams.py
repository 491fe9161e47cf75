"""Windows of one running text, for training and for evaluation."""

import json
import subprocess
import sys
from itertools import count, islice

import pytest
import torch

from glomo_spacy.corpora import EvalTextStreams, RunningText, SentenceCorpus, TextStreams, text_streams
from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentences import prepare_sentences

LENGTHS = [7, 1, 12, 3, 30, 2, 5, 9, 1, 4, 18, 6]  # 98 words and 12 ends
END, UNKNOWN = 1, 2


@pytest.fixture
def make_text(tmp_path):
    """Write sentences of these lengths whose words tell their place, and open the training split."""

    def make(lengths=LENGTHS, *, shard_tokens=40, name="corpus", max_words=None):
        place = count()
        lines = [" ".join(f"w{next(place):05}" for _ in range(length)) for length in lengths]
        (tmp_path / "text.txt").write_text("\n".join(lines))
        settings = SentenceSettings(
            tokenized=True, lang="xx", dev_documents=0, shard_tokens=shard_tokens, max_words=max_words
        )
        prepare_sentences([str(tmp_path / "text.txt")], tmp_path / name, settings=settings)
        return SentenceCorpus(tmp_path / name)

    return make


def line_of(corpus):
    """The running text, made in the plainest way."""
    return [index for sentence in corpus.documents() for index in [*sentence.tolist(), END]]


def take(streams, n):
    return [(window.inputs.tolist(), window.targets.tolist(), window.is_start) for window in islice(streams, n)]


def test_any_part_of_the_running_text_can_be_read(make_text):
    corpus = make_text()
    assert len(corpus.shard_names) == 3
    text, line = RunningText(corpus), line_of(corpus)
    assert len(text) == len(line) == 110
    for begin in range(len(line) + 1):
        for end in range(begin, len(line) + 1):
            assert text.read(begin, end).tolist() == line[begin:end]
    assert text.read(-1, 3).tolist() == [END, *line[:3]]


def test_columns_are_equal_parts_of_the_text_and_each_word_is_predicted_from_the_one_before(make_text):
    corpus = make_text()
    line = [END, *line_of(corpus)]
    windows = take(TextStreams(corpus, batch_size=4, unroll=5), 6)
    assert [len(inputs[0]) for inputs, _, _ in windows] == [5, 5, 5, 5, 5, 2]  # nothing of the 27 is left out
    for column in range(4):
        begin = 27 * column
        assert [index for inputs, _, _ in windows for index in inputs[column]] == line[begin : begin + 27]
        assert [index for _, targets, _ in windows for index in targets[column]] == line[begin + 1 : begin + 28]


def test_an_epoch_ends_with_its_last_window_and_the_next_one_says_that_it_starts(make_text):
    streams = TextStreams(make_text(), batch_size=4, unroll=5)
    first, epochs = [], []
    for _ in range(2):
        first.append(take(streams, 6))
        epochs.append(streams.epoch)
    assert [is_start for _, _, is_start in first[0]] == [True, False, False, False, False, False]
    assert first[0] == first[1]
    assert epochs == [1.0, 2.0]


def test_windows_are_of_int64_and_hold_ids_of_types_until_they_are_made_known(make_text):
    corpus = make_text(max_words=10)
    window = next(TextStreams(corpus, batch_size=3, unroll=7))
    assert window.inputs.shape == window.targets.shape == (3, 7)
    assert window.inputs.dtype == window.targets.dtype == torch.int64
    known = text_streams.known_ids(window.targets, n_words=corpus.n_words)
    is_known = window.targets < corpus.n_words
    assert 0 < int(is_known.sum()) < 21
    assert torch.equal(known[is_known], window.targets[is_known])
    assert set(known[~is_known].tolist()) == {UNKNOWN}


def test_lengths_vary_around_the_usual_one_and_around_its_half(make_text):
    streams = TextStreams(make_text([4000]), batch_size=1, unroll=60, vary=True, seed=3)
    lengths, factors = [], []
    while streams.epoch < 15:
        lengths.append(next(streams).inputs.shape[1])
        factors.append(streams.length_factor)
    assert sum(lengths) == 15 * 4001
    assert factors == [length / 60 for length in lengths]
    assert 0.02 < sum(20 <= length < 42 for length in lengths) / len(lengths) < 0.1
    assert sum(50 <= length < 75 for length in lengths) / len(lengths) > 0.85
    again = TextStreams(make_text([4000], name="again"), batch_size=1, unroll=60, vary=True, seed=3)
    assert [next(again).inputs.shape[1] for _ in lengths[:50]] == lengths[:50]
    other = TextStreams(make_text([4000], name="other"), batch_size=1, unroll=60, vary=True, seed=4)
    assert [next(other).inputs.shape[1] for _ in lengths[:50]] != lengths[:50]


def test_short_windows_are_drawn_at_least_five_long(make_text):
    streams = TextStreams(make_text([4000]), batch_size=1, unroll=6, vary=True)
    assert {next(streams).inputs.shape[1] >= 5 for _ in range(300)} == {True}


@pytest.mark.parametrize("n_before", [0, 1, 5, 6, 17])
@pytest.mark.parametrize("vary", [False, True])
def test_continues_exactly_where_it_was_left(make_text, n_before, vary):
    corpus = make_text()
    settings = {"batch_size": 3, "unroll": 6, "vary": vary, "seed": 5}
    whole = TextStreams(corpus, **settings)
    take(whole, n_before)
    state = json.loads(json.dumps(whole.state_dict()))
    other = TextStreams(corpus, **settings)
    other.load_state_dict(state)
    assert other.epoch == whole.epoch
    assert take(other, 30) == take(whole, 30)


def test_files_are_closed_now_and_then(make_text, monkeypatch):
    """Pages of mapped files count as memory until then."""
    monkeypatch.setattr(text_streams, "_READS_BEFORE_CLOSING", 50)
    corpus = make_text()
    opened = []
    monkeypatch.setattr(corpus, "shard", lambda index, open_=corpus.shard: opened.append(index) or open_(index))
    streams = TextStreams(corpus, batch_size=1, unroll=1)
    take(streams, 220)
    assert 6 < len(opened) < 20
    assert len(json.dumps(streams.state_dict())) < 200


@pytest.mark.parametrize("change", [{"batch_size": 2}, {"unroll": 5}, {"vary": True}, {"seed": 6}])
def test_position_of_other_settings_is_refused(make_text, change):
    corpus = make_text()
    settings = {"batch_size": 3, "unroll": 4, "vary": False, "seed": 5}
    state = TextStreams(corpus, **settings).state_dict()
    name, expected = next(iter(change.items()))
    with pytest.raises(ValueError, match=rf"^\[G907\].*{name} was {settings[name]}, but is {expected}"):
        TextStreams(corpus, **(settings | change)).load_state_dict(state)


def test_position_in_another_corpus_is_refused(make_text):
    state = TextStreams(make_text(), batch_size=3).state_dict()
    with pytest.raises(ValueError, match=r"^\[G907\].*corpus was"):
        TextStreams(make_text(LENGTHS[1:], name="other"), batch_size=3).load_state_dict(state)


def test_processes_share_the_batch_of_one(make_text):
    corpus = make_text()
    settings = {"batch_size": 4, "unroll": 6, "vary": True}
    whole = take(TextStreams(corpus, **settings), 30)
    parts = [TextStreams(corpus, **settings, rank=rank, world_size=2) for rank in range(2)]
    first, second = (take(part, 30) for part in parts)
    for one, left, right in zip(whole, first, second):
        assert one == (left[0] + right[0], left[1] + right[1], left[2])
    assert parts[0].state_dict() == parts[1].state_dict()


@pytest.mark.parametrize(
    "batch_size, unroll, n_columns", [(1, 7, 1), (9, 1, 1), (3, 4, 3), (50, 4, 5), (50, 2, 10), (4, 5000, 1)]
)
def test_evaluation_predicts_every_word_once_from_the_one_before(make_text, batch_size, unroll, n_columns):
    corpus = make_text([*LENGTHS, *[17] * 110] if unroll > 1 else LENGTHS)
    line = [END, *line_of(corpus)]
    streams = EvalTextStreams(corpus, batch_size=batch_size, unroll=unroll)
    assert streams.n_columns == n_columns
    windows = list(streams)
    whole = [torch.cat([window[part] for window in windows], dim=1) for part in range(3)]
    inputs, targets, mask = whole
    assert int(mask.sum()) == streams.n_words == corpus.n_predictions
    assert inputs[mask].tolist() == line[:-1]  # row by row, which is the order of the text
    assert targets[mask].tolist() == line[1:]
    assert not inputs[~mask].any()
    assert not targets[~mask].any()
    assert [window.inputs.shape[1] for window in windows[:-1]] == [unroll] * (len(windows) - 1)


def test_evaluation_of_a_part_has_the_beginning_of_the_text(make_text):
    corpus = make_text([50] * 40)
    windows = list(EvalTextStreams(corpus, batch_size=4, unroll=3, max_tokens=700))
    found = torch.cat([window.targets for window in windows], dim=1)[torch.cat([window.mask for window in windows], 1)]
    assert found.tolist() == line_of(corpus)[:700]
    assert EvalTextStreams(corpus, batch_size=4, max_tokens=10**9).n_words == corpus.n_predictions


@pytest.mark.parametrize(
    "make",
    [
        lambda corpus: TextStreams(corpus, batch_size=0),
        lambda corpus: TextStreams(corpus, batch_size=2, unroll=0),
        lambda corpus: TextStreams(corpus, batch_size=3, world_size=2),
        lambda corpus: EvalTextStreams(corpus, batch_size=0),
        lambda corpus: EvalTextStreams(corpus, batch_size=1, unroll=0),
        lambda corpus: EvalTextStreams(corpus, batch_size=1, max_tokens=0),
    ],
)
def test_settings_out_of_range_are_refused(make_text, make):
    with pytest.raises(ValueError, match=r"^\[G908\] (batch_size|unroll|max_tokens) must be"):
        make(make_text([3]))


def test_more_columns_than_words_are_refused(make_text):
    with pytest.raises(
        ValueError, match=r"^\[G330\].* has 4 words, .*batch_size asks for 5 columns. Prepare more text"
    ):
        TextStreams(make_text([3]), batch_size=5)


def test_streams_need_no_spacy(make_text):
    corpus = make_text()
    program = (
        "import sys; from glomo_spacy.corpora import SentenceCorpus, SentenceStreams, TextStreams; "
        f"corpus = SentenceCorpus({str(corpus.directory)!r}); "
        "next(TextStreams(corpus, batch_size=2)); next(SentenceStreams(corpus, batch_size=2)); "
        "sys.exit('spacy' in sys.modules or 'thinc' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
