"""The objective of word language models: batches, carried states, penalties, spelling, evaluation."""

import json
import math

import numpy as np
import pytest
import torch

from glomo_spacy.corpora import SentenceCorpus, TextStreams
from glomo_spacy.corpora.sentence_settings import SentenceSettings
from glomo_spacy.corpora.sentences import prepare_sentences
from glomo_spacy.corpora.text_streams import known_ids
from glomo_spacy.models import load_checkpoint
from glomo_spacy.training.loop import pretrain
from glomo_spacy.training.mogrifier_batches import UnknownWords, count_types
from glomo_spacy.training.objectives import build_objective

CPU = torch.device("cpu")


def gradients(objective, batch):
    """Gradients by name after one batch; the state before it is zero."""
    objective.loss.state = None
    objective.loss.zero_grad()
    objective.loss(*batch).backward()
    return {name: weight.grad.clone() for name, weight in objective.model.named_parameters() if weight.grad is not None}


def test_a_run_learns_and_its_checkpoint_scores_text(tiny_mogrifier, tmp_path):
    result = pretrain(
        tiny_mogrifier(
            pretraining__max_steps=90, pretraining__evaluate_every=90, pretraining__optimizer__learn_rate=0.03
        )
    )
    # Knowing nothing costs log 42 = 3.74, counts alone cost 3.4.
    assert result["loss"] < 3.0
    assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
    assert result["bits_per_byte"] > 0
    model = load_checkpoint(tmp_path / "run" / "model-best")
    scores = model.score([["aaa0", "new"], []])
    assert [len(score) for score in scores] == [3, 1]
    assert scores[0][1] < -10  # the spelling of an unknown word is paid for


def test_a_batch_is_a_window_of_the_text_in_words_of_the_vocabulary(tiny_mogrifier, sentences):
    objective = build_objective(tiny_mogrifier(), seed=1)
    corpus = SentenceCorpus(sentences)
    streams = TextStreams(corpus, batch_size=4, unroll=10)
    for _ in range(3):
        inputs, targets, is_start, _ = next(objective.batches)
        window = next(streams)
        assert torch.equal(inputs, known_ids(window.inputs, n_words=corpus.n_words))
        assert torch.equal(targets, known_ids(window.targets, n_words=corpus.n_words))
        assert bool(is_start) is window.is_start
    assert int(inputs.max()) < objective.model.config.vocab_size == corpus.n_words
    assert objective.batches.epoch == streams.epoch > 0


def test_words_to_spell_are_the_unknown_ones_of_the_training_text_as_often_as_they_stand_there(sentences):
    corpus = SentenceCorpus(sentences)
    counts = count_types(corpus)
    assert counts.sum() == corpus.n_tokens
    drawn = torch.cat([UnknownWords(corpus, n_words=50, seed=1).draw(step) for step in range(400)]).numpy()
    shares = np.bincount(drawn, minlength=len(counts)) / len(drawn)
    expected = np.where(np.arange(len(counts)) < corpus.n_words, 0, counts)
    assert np.abs(shares - expected / expected.sum()).max() < 0.02
    assert not shares[expected == 0].any()  # of the vocabulary, or in held-out text alone
    again = UnknownWords(corpus, n_words=50, seed=1)
    assert torch.equal(again.draw(3), torch.from_numpy(drawn[150:200]))
    assert not torch.equal(UnknownWords(corpus, n_words=50, seed=2).draw(3), again.draw(3))


def test_where_no_word_is_unknown_the_rarest_tenth_is_spelled(write_sentences, tmp_path):
    directory = write_sentences(tmp_path / "corpus", words=[f"w{index}" for index in range(50)], max_words=50)
    corpus = SentenceCorpus(directory)
    drawn = torch.cat([UnknownWords(corpus, n_words=50, seed=1).draw(step) for step in range(10)])
    assert len(corpus.types) == corpus.n_words == 53
    assert set(drawn.tolist()) == set(range(47, 53))


def test_where_a_given_vocabulary_leaves_nothing_to_spell_nothing_is_spelled(tiny_mogrifier, tmp_path):
    (tmp_path / "text.txt").write_text("a b\n" * 30)
    (tmp_path / "vocab.txt").write_text("\n".join(["<S>", "</S>", "<UNK>", "a", "b", *map(str, range(20))]))
    settings = SentenceSettings(tokenized=True, dev_fraction=0.2)
    prepare_sentences(
        [str(tmp_path / "text.txt")], tmp_path / "corpus", settings=settings, vocab=tmp_path / "vocab.txt"
    )
    objective = build_objective(tiny_mogrifier(paths__corpus=str(tmp_path / "corpus")), seed=1)
    batch = next(objective.batches)
    assert batch[3].shape == (0,)
    assert objective.loss(*batch).isfinite()


def test_the_state_goes_from_window_to_window_and_starts_at_zero_in_each_epoch(tiny_mogrifier):
    objective = build_objective(tiny_mogrifier(), seed=1)
    loss = objective.loss.eval()
    batch, follower = next(objective.batches), next(objective.batches)
    with torch.no_grad():
        loss(*batch)
        carried, after = float(loss(*follower)), loss.state
        loss.state = None
        assert carried != float(loss(*follower))
        zero = float(loss(follower[0], follower[1], torch.tensor(True), follower[3]))
        loss.state = after
        assert float(loss(follower[0], follower[1], torch.tensor(True), follower[3])) == zero
    assert not loss.state.hidden.requires_grad
    assert loss.state.hidden.shape == (1, 4, 16)


def test_the_loss_is_that_of_words_alone_and_its_gradient_has_scale_and_penalties(tiny_mogrifier):
    plain = build_objective(tiny_mogrifier(pretraining__objective__n_spelled=0), seed=1)
    batch = next(plain.batches)
    values, found = {}, {}
    for name, overrides in {
        "plain": {},
        "scaled": {"gradient_scale": 7.0},
        "penalised": {"activation_penalty": 2.0, "slowness_penalty": 1.0},
    }.items():
        torch.manual_seed(0)
        overrides = {f"pretraining__objective__{key}": value for key, value in overrides.items()}
        objective = build_objective(tiny_mogrifier(pretraining__objective__n_spelled=0, **overrides), seed=1)
        found[name] = gradients(objective, batch)
        objective.loss.state = None
        values[name] = float(objective.loss(*batch).detach())
    assert values["scaled"] == pytest.approx(values["plain"])
    assert values["penalised"] == pytest.approx(values["plain"])
    for name, gradient in found["plain"].items():
        torch.testing.assert_close(found["scaled"][name], 7 * gradient, rtol=1e-4, atol=1e-6)
    outputs, _ = objective.model.read(batch[0])
    penalty = 2 * outputs.pow(2).mean() + outputs.diff(dim=1).pow(2).mean()
    weights = dict(objective.model.named_parameters())
    name = "body.layers.0.hidden_weight"
    extra = torch.autograd.grad(penalty, weights[name])[0]
    torch.testing.assert_close(found["penalised"][name], found["plain"][name] + extra, rtol=1e-4, atol=1e-6)


def test_with_all_words_drawn_negatives_change_nothing(tiny_mogrifier):
    exact = build_objective(tiny_mogrifier(), seed=1)
    sampled = build_objective(tiny_mogrifier(pretraining__objective__n_negatives=10_000), seed=1)
    sampled.model.load_state_dict(exact.model.state_dict())
    batch, other = next(exact.batches), next(sampled.batches)
    assert len(batch) == 4
    torch.testing.assert_close(sampled.loss(*other), exact.loss(*batch))
    found, expected = gradients(sampled, other), gradients(exact, batch)
    assert found.keys() == expected.keys()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_negatives_differ_from_batch_to_batch_and_resume(tiny_mogrifier):
    config = tiny_mogrifier(pretraining__objective__n_negatives=5)
    batches = build_objective(config, seed=1).batches
    first = next(batches)[4]
    state = batches.state_dict()
    second = next(batches)[4]
    assert len(first) == len(second) == 5
    assert not torch.equal(first, second)
    resumed = build_objective(config, seed=1).batches
    resumed.load_state_dict(state)
    assert torch.equal(next(resumed)[4], second)


@pytest.mark.parametrize(
    "changes", [{"softmax": "adaptive", "adaptive_cutoffs": [10], "tied": False}, {"n_softmaxes": 2}]
)
def test_negatives_need_one_full_softmax(changes, tiny_mogrifier):
    overrides = {f"model__{name}": value for name, value in changes.items()}
    config = tiny_mogrifier(pretraining__objective__n_negatives=5, **overrides)
    with pytest.raises(ValueError, match=r"\[G187\] Negatives need one full soft-max"):
        build_objective(config, seed=1)


def test_spelling_moves_only_the_weights_that_spell(tiny_mogrifier):
    objective = build_objective(tiny_mogrifier(), seed=1)
    *words, spelled = next(objective.batches)
    assert len(spelled) == 4
    with_spelling = gradients(objective, (*words, spelled))
    without = gradients(objective, (*words, spelled[:0]))
    assert {name for name in with_spelling if name not in without} == {
        name for name, _ in objective.model.named_parameters() if name.startswith("spelling.")
    }
    for name, gradient in without.items():
        assert torch.equal(with_spelling[name], gradient)


def test_evaluation_scores_every_word_once_and_leaves_no_trace(tiny_mogrifier, sentences):
    objective = build_objective(tiny_mogrifier(), seed=1)
    objective.loss.eval()
    before = torch.get_rng_state()
    measures = objective.evaluate(CPU)
    dev = SentenceCorpus(sentences, split="dev")
    assert measures["n_targets"] == dev.n_predictions
    assert measures["n_tokens"] == dev.n_tokens
    assert measures["n_unknown"] == sum(int((sentence >= dev.n_words).sum()) for sentence in dev.documents())
    objective.loss(*next(objective.batches))
    assert objective.evaluate(CPU) == measures
    assert torch.equal(torch.get_rng_state(), before)


def test_held_out_loss_does_not_hang_on_the_window(tiny_mogrifier):
    losses = []
    for unroll in (1, 7, 1000):
        torch.manual_seed(0)
        objective = build_objective(tiny_mogrifier(pretraining__evaluation__unroll=unroll), seed=1)
        objective.loss.eval()
        losses.append(objective.evaluate(CPU)["loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_processes_share_the_columns_of_held_out_text(tiny_mogrifier, monkeypatch):
    parts = []
    patched = "glomo_spacy.evaluation.language_model._sum_over_processes"
    monkeypatch.setattr(patched, lambda sums: parts.append(sums.clone()) or sums)
    overrides = {"pretraining__evaluation__unroll": 1, "pretraining__evaluation__batch_size": 2}
    for rank in (0, 1):
        torch.manual_seed(0)
        objective = build_objective(tiny_mogrifier(**overrides), seed=1, rank=rank, world_size=2)
        objective.evaluate(CPU)
    torch.manual_seed(0)
    whole = build_objective(tiny_mogrifier(**overrides), seed=1).evaluate(CPU)
    assert sum(int(part.sum()) for part in parts[1::2]) == whole["n_targets"]
    assert float(sum(parts[0::2])) / whole["n_targets"] == pytest.approx(whole["loss"])


def test_counts_are_where_biases_start(tiny_mogrifier, sentences):
    counts = torch.from_numpy(SentenceCorpus(sentences).counts).double() + 1
    bias = build_objective(tiny_mogrifier(), seed=1).model.output.bias.detach()
    torch.testing.assert_close(bias.double().exp(), counts / counts.sum(), rtol=1e-5, atol=1e-7)
    plain = build_objective(tiny_mogrifier(pretraining__objective__start_from_counts=False), seed=1)
    assert not plain.model.output.bias.any()


@pytest.mark.parametrize(
    "overrides",
    [
        {"model__cell": "lstm", "model__layer_norm": True, "model__n_layers": 2},
        {"model__tied": False, "model__softmax": "adaptive", "model__adaptive_cutoffs": [10, 25]},
        {"model__n_softmaxes": 2, "model__embedding_width": 8, "model__spelling_width": None},
        {"model__input_dropout": 0.2, "model__reset_probability": 0.1, "system__precision": "bf16-mixed"},
    ],
    ids=["lstm", "adaptive", "mixture", "dropout in bfloat16"],
)
def test_every_kind_of_model_trains(overrides, tiny_mogrifier):
    shape = {"pretraining__max_steps": 30, "pretraining__evaluate_every": 30, "pretraining__log_every": 15}
    result = pretrain(tiny_mogrifier(**shape, **overrides))
    assert result["loss"] < 3.74
    assert result["train_loss"] < 3.8


def test_windows_of_drawn_lengths_scale_the_rate(tiny_mogrifier, tmp_path):
    config = tiny_mogrifier(
        corpora__vary=True,
        pretraining__log_every=1,
        pretraining__schedule={"name": "constant", "warmup": 0.0},
        pretraining__optimizer__learn_rate=0.01,
    )
    pretrain(config)
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    rates = [entry["learn_rate"] for entry in map(json.loads, lines) if entry["event"] == "train"]
    streams = TextStreams(SentenceCorpus(config["paths"]["corpus"]), batch_size=4, unroll=10, vary=True, seed=1)
    expected = [0.01 * next(streams).inputs.shape[1] / 10 for _ in rates]
    assert rates == pytest.approx(expected)
    assert len(set(rates)) > 2


def test_the_corpus_decides_the_size_of_the_vocabulary(tiny_mogrifier):
    with pytest.raises(ValueError, match=r"\[G146\] \[model\] must not set vocab_size: the prepared corpus decides it"):
        build_objective(tiny_mogrifier(model__vocab_size=60), seed=1)


def test_a_batch_must_divide_among_the_processes(tiny_mogrifier):
    with pytest.raises(ValueError, match=r"\[G306\] corpora.batch_size \(4\) must be divisible by .* \(3\)"):
        build_objective(tiny_mogrifier(), seed=1, world_size=3)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("pretraining.objective.gradient_scale", 0.0, r"\[G141\] pretraining.objective.gradient_scale must be above 0"),
        ("pretraining.objective.activation_penalty", -1.0, r"\[G141\] .*activation_penalty must be at least 0"),
        ("pretraining.objective.n_spelled", -1, r"\[G141\] .*n_spelled must be at least 0"),
        ("pretraining.evaluation.unroll", 0, r"\[G908\] unroll must be at least 1"),
        ("corpora.unroll", 0, r"\[G908\] unroll must be at least 1"),
        ("model.rounds", -1, r"\[G101\]"),
    ],
)
def test_a_value_out_of_range_is_named_before_any_work(name, value, message, tiny_mogrifier, tmp_path):
    with pytest.raises(ValueError, match=message):
        pretrain(tiny_mogrifier(**{name.replace(".", "__"): value}))
    assert not (tmp_path / "run").exists()
