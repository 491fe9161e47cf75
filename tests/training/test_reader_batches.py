"""Batches of questions: each once an epoch, contexts of similar length, the same ones after a stop."""

import numpy as np
import pytest
import torch

from glomo_spacy.corpora.squad_corpus import SquadCorpus
from glomo_spacy.training.reader_batches import BatchShape, ReaderBatch, ReaderBatches, TrainingQuestions, plan_batches

CONTEXTS = np.repeat(np.arange(30), 4)  # four questions on each of thirty contexts
LENGTHS = np.repeat(np.arange(5, 65, 2), 4)


def plan(*, batch_size=4, buckets=(), together=1, seed=0):
    shape = BatchShape(batch_size, buckets, together)
    return plan_batches(CONTEXTS, LENGTHS, shape, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def split(questions):
    return SquadCorpus(questions).split("train")


@pytest.mark.parametrize("options", [{}, {"buckets": (20, 40)}, {"together": 3, "buckets": (33,)}], ids=str)
def test_an_epoch_has_every_question_once(options):
    assert sorted(np.concatenate(plan(**options)).tolist()) == list(range(len(CONTEXTS)))


def test_what_fills_no_batch_waits_and_is_another_part_each_time():
    left_out = [set(range(len(CONTEXTS))) - set(np.concatenate(plan(batch_size=32, seed=seed))) for seed in range(2)]
    assert [len(part) for part in left_out] == [24, 24]
    assert left_out[0] != left_out[1]


def test_a_batch_has_contexts_of_one_bucket():
    numbers = [set(np.searchsorted((20, 40), LENGTHS[batch])) for batch in plan(buckets=(20, 40))]
    assert {frozenset(number) for number in numbers} == {frozenset({bucket}) for bucket in range(3)}


def test_the_rest_of_each_bucket_goes_with_its_neighbours():
    batches = plan(batch_size=7, buckets=(20, 40))  # 32, 40 and 48 questions leave 4, 5 and 6
    mixed = [batch for batch in batches if len(set(np.searchsorted((20, 40), LENGTHS[batch]))) > 1]
    assert (len(batches), len(mixed)) == (17, 2)
    assert max(LENGTHS[mixed[0]]) <= min(LENGTHS[mixed[1]]) or max(LENGTHS[mixed[1]]) <= min(LENGTHS[mixed[0]])


@pytest.mark.parametrize(("together", "n_contexts"), [(4, 2), (2, 4)])
def test_questions_of_a_context_are_drawn_together_up_to_a_number(together, n_contexts):
    found = [len(set(CONTEXTS[batch])) for batch in plan(batch_size=8, together=together)]
    assert max(found) == n_contexts
    orders = {tuple(batch) for batch in plan(batch_size=together, together=together)}
    assert all(len(set(CONTEXTS[list(batch)])) == 1 for batch in orders)


def texts_of(batch, split, corpus):
    sides = []
    for places in (batch.contexts, batch.questions):
        sides.append([[corpus.types[batch.tokens[place]] for place in row if place >= 0] for row in places])
    return sides


def test_a_batch_holds_each_context_once_and_points_at_the_answers(split, questions):
    corpus = SquadCorpus(questions)
    batch = TrainingQuestions(split, max_context=100).batch(np.asarray([3, 2, 5]))
    contexts, asked = texts_of(batch, split, corpus)
    assert batch.owners.tolist() == [0, 0, 1]
    assert len(contexts) == 2
    for row, index in enumerate((3, 2, 5)):
        expected = split.question(index)
        own = contexts[batch.owners[row]]
        assert own == [corpus.types[place] for place in expected.context]
        assert asked[row] == [corpus.types[place] for place in expected.question]
        assert (batch.starts[row], batch.ends[row]) == expected.answer
        assert own[batch.starts[row]] in split.answers(expected.id)
    assert len(batch.tokens) == sum(map(len, contexts + asked))


def test_of_a_long_context_the_part_around_the_answer_is_read(split, questions):
    corpus = SquadCorpus(questions)
    data = TrainingQuestions(split, max_context=9)
    assert set(data.lengths) == {9}
    batch = data.batch(np.arange(len(data)))
    contexts, _ = texts_of(batch, split, corpus)
    for row in range(len(data)):
        answer = contexts[batch.owners[row]][batch.starts[row] : batch.ends[row] + 1]
        assert " ".join(answer) in split.answers(split.ids[row])


def test_a_share_of_the_questions_is_the_same_each_time(split):
    first, again, other = (
        TrainingQuestions(split, max_context=100, fraction=0.25, seed=seed).indices for seed in (0, 0, 1)
    )
    assert len(first) == 12
    assert first.tolist() == again.tolist() != other.tolist()


def take(batches, count):
    return [next(batches) for _ in range(count)]


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_batches_go_on_where_they_stopped_in_any_epoch(split):
    data, shape = TrainingQuestions(split, max_context=100), BatchShape(8, (20,), 2)
    for stopped_after in (2, 6, 9):  # an epoch has 6 batches
        batches = ReaderBatches(data, shape, seed=5)
        take(batches, stopped_after)
        resumed = ReaderBatches(data, shape, seed=5)
        resumed.load_state_dict(batches.state_dict())
        assert resumed.epoch == batches.epoch == stopped_after / 6
        assert_equal(take(resumed, 8), take(batches, 8))


def test_processes_share_a_batch(split):
    data, shape = TrainingQuestions(split, max_context=100), BatchShape(8, (), 1)
    whole = ReaderBatch(*next(ReaderBatches(data, shape, seed=1)))
    parts = [ReaderBatch(*next(ReaderBatches(data, shape, seed=1, rank=rank, world_size=2))) for rank in range(2)]
    assert torch.cat([part.starts for part in parts]).tolist() == whole.starts.tolist()
    assert [len(part.owners) for part in parts] == [4, 4]
