"""The GLoMo objective: positions, negatives, evaluation and the care for heads."""

import os

import pytest
import torch

from glomo_spacy.training.glomo import GlomoObjective, NegativeSampler
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.objectives import build_objective


def test_positions_are_drawn_anew_per_batch_and_direction_inside_the_window(tiny):
    objective = build_objective(tiny(pretraining__objective__n_positions=200), seed=1)
    for _ in range(5):
        ids, left, right, _ = next(objective.batches)
        limit = ids.shape[1] - 3
        assert (int(left.min()), int(left.max())) == (0, limit - 1)  # the ends are included, no more
        assert left.shape == right.shape == (200,)
        assert not torch.equal(left, right)


def test_compiled_products_are_kept_where_shapes_come_again_and_compiling_takes_time(tiny, tiny_elmo, monkeypatch):
    """Elsewhere they would only fill the memory."""
    variable = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(variable, "")
    monkeypatch.delenv(variable)
    build_objective(tiny(), seed=1)
    pretrain(tiny_elmo(system__precision="bf16-mixed", pretraining__max_steps=1))
    assert variable not in os.environ
    build_objective(tiny(system__precision="bf16-mixed"), seed=1)
    assert int(os.environ[variable]) > 1024


def test_every_position_can_be_asked_for(tiny):
    objective = build_objective(tiny(pretraining__objective__n_positions=None), seed=1)
    ids, left, right, _ = next(objective.batches)
    assert left.tolist() == right.tolist() == list(range(ids.shape[1] - 3))


def test_negatives_are_distinct_and_their_odds_are_as_stated():
    sampler = NegativeSampler([0, 1, 16, 256, 4096], n_negatives=20, power=0.75)
    shares = torch.tensor([1.0, 1.0, 8.0, 64.0, 512.0]) / 586  # a word that never occurred counts as one
    generator = torch.Generator().manual_seed(0)
    draws = [sampler.draw(generator) for _ in range(4000)]
    assert all(len(draw.unique()) == len(draw) for draw in draws)
    found = torch.bincount(torch.cat(draws), minlength=5) / len(draws)
    torch.testing.assert_close(sampler.log_expected.exp(), 1 - (1 - shares) ** 20, rtol=1e-4, atol=0)
    torch.testing.assert_close(found, sampler.log_expected.exp(), atol=0.02, rtol=0)


def test_sampled_softmax_is_the_full_one_once_every_word_is_drawn(tiny):
    full = build_objective(tiny(pretraining__objective__n_negatives=None), seed=1)
    sampled = build_objective(tiny(pretraining__objective__n_negatives=5_000), seed=1)
    sampled.model.load_state_dict(full.model.state_dict())
    ids, left, right, negatives = next(sampled.batches)
    with torch.no_grad():
        exact = float(full.loss(ids, left, right))
        assert negatives.tolist() == list(range(60))
        assert float(sampled.loss(ids, left, right, negatives)) == pytest.approx(exact, rel=1e-5)
        assert float(sampled.loss(ids, left, right, negatives[:20])) < exact - 0.1


def test_batches_continue_exactly_from_their_state(tiny):
    batches = build_objective(tiny(), seed=1).batches
    for _ in range(7):
        next(batches)
    state, epoch = batches.state_dict(), batches.epoch
    expected = [next(batches) for _ in range(4)]
    other = build_objective(tiny(), seed=1).batches
    other.load_state_dict(state)
    assert other.epoch == epoch
    for batch in expected:
        assert all(torch.equal(left, right) for left, right in zip(batch, next(other)))


def test_evaluation_gives_the_same_numbers_every_time_and_disturbs_nothing(tiny):
    objective = GlomoObjective(tiny(pretraining__evaluation__n_positions=5), seed=1)
    objective.loss.eval()
    before = torch.get_rng_state()
    first = objective.evaluate(torch.device("cpu"))
    next(objective.batches)
    assert objective.evaluate(torch.device("cpu")) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_dead_heads_are_named_and_stop_the_run_if_asked(tiny, tmp_path):
    objective = GlomoObjective(tiny(), seed=1)
    objective.loss.eval()
    with torch.no_grad():
        for name, parameter in objective.model.named_parameters():
            if "threshold" in name and name.endswith("bias"):
                parameter.fill_(1e6 if name.startswith("left") else -1e6)
    measures = objective.evaluate(torch.device("cpu"))
    dead = [name for name, share in zip(measures["heads"], measures["empty"]) if share > 0.5]
    assert dead == ["left 1.2", "left 1.3"]
    assert "[G320]" in (objective.warnings(measures) or "")
    assert "left 1.2, left 1.3." in (objective.warnings(measures) or "")
    strict = GlomoObjective(tiny(pretraining__objective__max_empty=0.9), seed=1)
    with pytest.raises(RuntimeError, match=r"\[G303\] More than 90% of the rows of these heads are empty: left 1.2"):
        strict.warnings(measures)
    with pytest.raises(RuntimeError, match=r"\[G303\]"):
        pretrain(tiny(pretraining__objective__max_empty=0.0))
    assert not (tmp_path / "run" / "model-last").exists()


def test_a_window_without_room_for_a_target_is_refused(tiny):
    with pytest.raises(ValueError, match=r"\[G305\] Windows of 6 tokens \(the shortest has 3\)"):
        build_objective(tiny(corpora__bptt=6, corpora__shift=3), seed=1)


def test_windows_longer_than_every_document_are_refused(tiny):
    with pytest.raises(ValueError, match=r"\[G906\].*500.*the longest has 120"):
        build_objective(tiny(corpora__bptt=500), seed=1)


def test_held_out_text_without_a_target_is_refused(tiny, write_corpus, tmp_path):
    words = [f"w{index}" for index in range(9)] + ["<unk>"]
    short = write_corpus(tmp_path / "short", words=words, held_out=3)
    with pytest.raises(ValueError, match=r"\[G315\].*no document is longer than 3 tokens"):
        build_objective(tiny(paths__corpus=str(short)), seed=1)


def test_a_batch_must_divide_among_the_processes(tiny):
    with pytest.raises(ValueError, match=r"\[G306\] corpora.batch_size \(4\) must be divisible by .* \(3\)"):
        build_objective(tiny(), seed=1, world_size=3)


def test_the_vocabulary_decides_the_models_size(tiny):
    assert build_objective(tiny(), seed=1).model.config.vocab_size == 60
    with pytest.raises(ValueError, match=r"\[G146\].*must not set vocab_size"):
        build_objective(tiny(model__vocab_size=60), seed=1)
