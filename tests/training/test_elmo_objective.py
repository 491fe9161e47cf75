"""The biLM objective: what a batch holds, carried states, scaled gradients, evaluation."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from glomo_spacy.corpora import EvalStreams, SentenceCorpus, SentenceStreams
from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentences import prepare_sentences
from glomo_spacy.evaluation.bilm import held_out_perplexity
from glomo_spacy.models import load_checkpoint
from glomo_spacy.models.elmo import ElmoConfig
from glomo_spacy.models.elmo.losses import window_losses
from glomo_spacy.models.softmax import Negatives, log_expected_counts
from glomo_spacy.training.config import Pretraining, System, build_choice, build_section, load_config
from glomo_spacy.training.elmo import ElmoEvaluation, ElmoSettings, StreamSettings
from glomo_spacy.training.elmo_batches import unpack
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.objectives import build_objective
from glomo_spacy.training.optimizers import OPTIMIZERS
from glomo_spacy.training.sampling import LogUniformSampler
from glomo_spacy.training.schedules import SCHEDULES

CPU = torch.device("cpu")
CONFIGS = Path(__file__).parents[2] / "configs"


def take(objective, n_directions=2, has_negatives=True):
    return unpack(next(objective.batches), n_directions=n_directions, has_negatives=has_negatives)


def test_a_run_learns_both_directions_and_its_checkpoint_gives_vectors(tiny_elmo, tmp_path):
    result = pretrain(
        tiny_elmo(
            pretraining__max_steps=120,
            pretraining__evaluate_every=120,
            pretraining__optimizer__learn_rate=0.03,
            pretraining__objective__n_negatives=None,
        )
    )
    # Knowing nothing costs log 43 = 3.76, counts alone cost 3.5.
    assert result["loss_forward"] < 3.25
    assert result["loss_backward"] < 3.25
    assert result["loss"] == pytest.approx((result["loss_forward"] + result["loss_backward"]) / 2)
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
    model = load_checkpoint(tmp_path / "run" / "model-best")
    assert [layers.shape for layers in model.layers([["a0", "new"], ["b1"]])] == [(3, 2, 32), (3, 1, 32)]


def test_a_batch_spells_each_word_once_and_predicts_unknown_words_as_one(tiny_elmo, sentences):
    objective = build_objective(tiny_elmo(), seed=1)
    corpus = SentenceCorpus(sentences)
    expected = next(SentenceStreams(corpus, batch_size=4, unroll=10, seed=1))
    (windows, negatives) = take(objective)
    spelled = objective.model.indexer.ids(corpus.types)[:, : windows.units.shape[1]].astype(int)
    assert len(windows.units.unique(dim=0)) == len(windows.units)
    for place, inputs in enumerate((expected.forward_inputs, expected.backward_inputs)):
        assert torch.equal(windows.units[windows.words[place]], torch.from_numpy(spelled)[inputs])
    assert int(expected.forward_targets.max()) >= corpus.n_words  # else this shows nothing
    known = expected.forward_targets.where(expected.forward_targets < corpus.n_words, 2)
    assert torch.equal(windows.targets[0], known)
    assert len(negatives.ids.unique()) == 32


@pytest.mark.parametrize(
    "name",
    [
        "pretrain_elmo",
        "pretrain_elmo_sm",
        "pretrain_elmo_paper",
        "pretrain_elmo_mogrifier",
        "pretrain_elmo_lstm",
        "tiny/pretrain_elmo",
    ],
)
def test_every_setting_of_the_recipes_is_known(name):
    config = load_config(CONFIGS / f"{name}.cfg")
    settings = build_section(Pretraining, name="pretraining", values=config["pretraining"])
    build_section(System, name="system", values=config["system"])
    build_section(ElmoConfig, name="model", values={**config["model"], "vocab_size": 1000})
    build_section(StreamSettings, name="corpora", values=config["corpora"])
    build_section(ElmoSettings, name="objective", values=settings.objective, extra=("name",))
    build_section(ElmoEvaluation, name="evaluation", values=settings.evaluation)
    build_choice(OPTIMIZERS, name="optimizer", values=settings.optimizer)
    build_choice(SCHEDULES, name="schedule", values=settings.schedule)
    missing = set(ElmoConfig.__dataclass_fields__) - set(config["model"])
    assert missing == {"vocab_size", "n_characters"}  # all others stand in the file


@pytest.mark.parametrize("name, size", [("pretrain_elmo", "medium"), ("pretrain_elmo_paper", "original")])
def test_recipes_have_the_released_sizes(name, size):
    model = load_config(CONFIGS / f"{name}.cfg")["model"]
    sized = {**model, "softmax": "none", "dropout": 0.0}
    assert ElmoConfig(**sized) == ElmoConfig.sized(size)


def test_negatives_are_distinct_and_their_odds_are_as_stated():
    sampler = LogUniformSampler(60, n_negatives=12)
    generator = torch.Generator().manual_seed(0)
    found, expected = torch.zeros(60), torch.zeros(60)
    for _ in range(2000):
        ids, n_draws = sampler.draw(generator)
        assert ids.tolist() == sorted(set(ids.tolist()))
        found[ids] += 1 / 2000
        expected += log_expected_counts(torch.arange(60), n_draws, 60).exp() / 2000
    # The number of draws is itself random, which the correction leaves out, as TensorFlow's does.
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)
    assert float(found[0]) > 0.9
    assert float(found[59]) < 0.2
    assert float(found.sum()) == pytest.approx(12)


def test_with_every_word_drawn_the_sampled_loss_is_the_full_one(tiny_elmo):
    full = build_objective(tiny_elmo(pretraining__objective__n_negatives=None), seed=1)
    sampled = build_objective(tiny_elmo(pretraining__objective__n_negatives=5_000), seed=1)
    sampled.model.load_state_dict(full.model.state_dict())
    losses = [objective.loss(*next(objective.batches)).item() for objective in (full, sampled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_states_are_carried_from_window_to_window_without_gradients(tiny_elmo):
    settings = {"corpora__batch_size": 1, "pretraining__objective__n_negatives": None}
    objective = build_objective(tiny_elmo(**settings), seed=1)
    twice = build_objective(tiny_elmo(corpora__unroll=20, **settings), seed=1)
    twice.model.load_state_dict(objective.model.state_dict())
    whole = twice.loss(*next(twice.batches)).item()
    parts = [objective.loss(*next(objective.batches)).item() for _ in range(2)]
    assert sum(parts) / 2 == pytest.approx(whole, rel=1e-5)
    assert not any(part.requires_grad for direction in objective.loss.state for part in direction)


def test_the_gradient_is_scaled_and_the_loss_is_not(tiny_elmo):
    losses, gradients = [], []
    for scale in (1.0, 20.0):
        torch.manual_seed(0)
        objective = build_objective(tiny_elmo(pretraining__objective__gradient_scale=scale), seed=1)
        loss = objective.loss(*next(objective.batches))
        loss.backward()
        losses.append(loss.item())
        gradients.append(objective.model.softmax.bias.grad)
    assert losses[0] == losses[1]
    torch.testing.assert_close(gradients[1], 20 * gradients[0])


def test_counts_give_the_first_biases(tiny_elmo, sentences):
    corpus = SentenceCorpus(sentences)
    softmax = build_objective(tiny_elmo(), seed=1).model.softmax
    shares = softmax.bias.detach().exp()
    assert float(shares.sum()) == pytest.approx(1)
    counts = torch.from_numpy(corpus.counts)
    torch.testing.assert_close(shares, ((counts + 1) / (counts.sum() + len(counts))).float())
    published = build_objective(tiny_elmo(pretraining__objective__start_from_counts=False), seed=1).model.softmax
    assert not published.bias.any()
    assert published.weight.std().item() == pytest.approx(1 / 16**0.5, rel=0.1)


@pytest.mark.parametrize("batch_size, unroll", [(4, 10), (4, 3), (1, 50)])
def test_evaluation_scores_every_word_once_and_disturbs_nothing(batch_size, unroll, tiny_elmo, sentences):
    overrides = {"pretraining__evaluation__batch_size": batch_size, "pretraining__evaluation__unroll": unroll}
    objective = build_objective(tiny_elmo(**overrides), seed=1)
    objective.loss.eval()
    before = torch.get_rng_state()
    measures = objective.evaluate(CPU)
    dev = SentenceCorpus(sentences, split="dev")
    assert measures["n_targets"] == dev.n_predictions
    assert measures["n_unknown"] == sum(int((sentence >= dev.n_words).sum()) for sentence in dev.documents())
    assert measures["unknown_rate"] == measures["n_unknown"] / dev.n_tokens
    next(objective.batches)
    assert objective.evaluate(CPU) == measures
    assert torch.equal(torch.get_rng_state(), before)


def test_the_state_is_carried_through_held_out_text(tiny_elmo):
    """One row is the same however it is cut; a model that forgot its state at each cut would differ."""
    losses = []
    for unroll in (1, 7, 1000):
        torch.manual_seed(0)
        overrides = {"pretraining__evaluation__batch_size": 1, "pretraining__evaluation__unroll": unroll}
        objective = build_objective(tiny_elmo(pretraining__objective__start_from_counts=False, **overrides), seed=1)
        objective.model.softmax.weight.data *= 300  # so that the loss hangs on the states
        objective.loss.eval()
        losses.append(objective.evaluate(CPU)["loss"])
    assert losses[0] == pytest.approx(losses[2], rel=1e-5)
    assert losses[1] == pytest.approx(losses[2], rel=1e-5)
    objective.model.forward_lm.forward = partial(_forget, objective.model.forward_lm.forward)
    objective._held_out.unroll = 7
    assert abs(objective.evaluate(CPU)["loss"] - losses[2]) > 1e-3


def _forget(forward, inputs, *, mask=None, state=None):
    return forward(inputs, mask=mask)


def test_processes_share_the_rows_and_sum_to_the_whole(tiny_elmo, sentences, monkeypatch):
    objective = build_objective(tiny_elmo(), seed=1)
    objective.loss.eval()
    batches = list(EvalStreams(SentenceCorpus(sentences, split="dev"), batch_size=4, unroll=10))
    parts, whole = [], []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: parts.append(sums.clone()))
    for rank in (0, 1):
        held_out_perplexity(objective.model, batches, objective._maker, device=CPU, rank=rank, world_size=2)
    monkeypatch.setattr("glomo_spacy.evaluation.bilm._summary", lambda sums: whole.append(sums))
    held_out_perplexity(objective.model, batches, objective._maker, device=CPU)
    torch.testing.assert_close(parts[0] + parts[1], torch.tensor(whole[0], dtype=torch.float64))


def test_a_forward_only_model_has_one_loss(tiny_elmo):
    result = pretrain(tiny_elmo(model__directions="forward"))
    assert result["loss"] == result["loss_forward"]
    assert (result["loss_backward"], result["perplexity_backward"]) == (None, None)


@pytest.mark.parametrize(
    "overrides",
    [
        {"model__softmax": "adaptive", "model__adaptive_cutoffs": [10, 25]},
        {"pretraining__objective__n_negatives": None},
        {"model__token_encoder": "words"},
        {"model__dropout": 0.3, "system__precision": "bf16-mixed"},
    ],
    ids=["adaptive", "full", "words", "bfloat16"],
)
def test_every_variant_trains(overrides, tiny_elmo):
    if overrides.get("model__softmax") == "adaptive":
        overrides = {**overrides, "pretraining__objective__n_negatives": None}
    result = pretrain(tiny_elmo(pretraining__max_steps=30, pretraining__evaluate_every=15, **overrides))
    assert result["loss"] < 3.9
    assert result["train_loss"] < 3.9


def test_negatives_need_a_full_softmax(tiny_elmo):
    with pytest.raises(ValueError, match=r"\[G155\] Negatives need model.softmax = \"full\", but it is 'adaptive'"):
        build_objective(tiny_elmo(model__softmax="adaptive", model__adaptive_cutoffs=[9]), seed=1)


def test_a_model_without_a_softmax_cannot_be_scored(tiny_elmo):
    objective = build_objective(tiny_elmo(), seed=1)
    windows, _ = take(objective)
    objective.model.softmax = None
    with pytest.raises(ValueError, match=r"\[G154\] The model has no soft-max"):
        window_losses(objective.model, windows)


@pytest.mark.parametrize("name", ["vocab_size", "n_characters"])
def test_the_corpus_decides_what_the_model_reads_and_predicts(name, tiny_elmo):
    with pytest.raises(ValueError, match=rf"\[G146\] \[model\] must not set {name}: the prepared corpus decides it"):
        build_objective(tiny_elmo(**{f"model__{name}": 60}), seed=1)


def test_a_batch_must_divide_among_the_processes(tiny_elmo):
    with pytest.raises(ValueError, match=r"\[G306\] corpora.batch_size \(4\) must be divisible by .* \(3\)"):
        build_objective(tiny_elmo(), seed=1, world_size=3)


@pytest.mark.parametrize(
    "name, value, message",
    [
        (
            "pretraining.objective.n_negatives",
            0,
            r"\[G141\] pretraining.objective.n_negatives must be above 0, but is 0",
        ),
        ("pretraining.objective.gradient_scale", -1.0, r"\[G141\]"),
        ("pretraining.evaluation.unroll", 0, r"\[G908\] unroll must be at least 1"),
        ("corpora.unroll", 0, r"\[G908\] unroll must be at least 1"),
        ("pretraining.patience", 0, r"\[G141\] pretraining.patience must be above 0"),
    ],
)
def test_a_value_out_of_range_is_named_before_any_work(name, value, message, tiny_elmo, tmp_path):
    with pytest.raises(ValueError, match=message):
        pretrain(tiny_elmo(**{name.replace(".", "__"): value}))
    assert not (tmp_path / "run").exists()


def test_a_corpus_without_held_out_text_is_refused(tiny_elmo, tmp_path):
    (tmp_path / "text.txt").write_text("a b\nc d\n")
    settings = SentenceSettings(tokenized=True, dev_documents=0)
    prepare_sentences([str(tmp_path / "text.txt")], tmp_path / "corpus", settings=settings)
    with pytest.raises(ValueError, match=r"\[G905\].*has no split 'dev'. It has: train"):
        build_objective(tiny_elmo(paths__corpus=str(tmp_path / "corpus")), seed=1)


def test_a_corpus_of_documents_is_refused(tiny_elmo, corpus):
    with pytest.raises(ValueError, match=r"\[G920\]"):
        build_objective(tiny_elmo(paths__corpus=str(corpus)), seed=1)


def test_negatives_come_from_one_generator_on_all_processes(tiny_elmo):
    first, second = (build_objective(tiny_elmo(), seed=1, rank=rank, world_size=2) for rank in (0, 1))
    (windows, negatives), (others, same) = take(first), take(second)
    assert isinstance(negatives, Negatives)
    assert torch.equal(negatives.ids, same.ids)
    assert windows.words[0].shape == others.words[0].shape == (2, 10)
