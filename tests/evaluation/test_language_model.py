"""Exact perplexity of language models: every word once, state carried, unknown words, Monte Carlo, temperature."""

import math

import numpy as np
import pytest
import torch

from glomo_spacy.corpora import EvalTextStreams, SentenceList
from glomo_spacy.evaluation.language_model import (
    MonteCarloScorer,
    StaticScorer,
    WordTable,
    held_out_perplexity,
    search_temperature,
)
from glomo_spacy.indexers import VocabularyIndexer

WORDS = ["<S>", "</S>", "<UNK>", *"abcdefgh"]  # of `make_model`


def measure(scorer, text, *, batch_size=1, unroll=7, max_tokens=None, has_spelling=True):
    words = WordTable(text.types, scorer.model.indexer, spelling=scorer.model.spelling if has_spelling else None)
    windows = EvalTextStreams(text, batch_size=batch_size, unroll=unroll, max_tokens=max_tokens)
    return held_out_perplexity(scorer, windows, words)


def line(sentences):
    """The whole text as one list of words, each sentence with its end."""
    return [word for sentence in sentences for word in [*sentence, "</S>"]]


def test_loss_is_that_of_the_whole_text_read_at_once(make_model, text, sentences):
    model = make_model(spelling_width=None)
    measures = measure(StaticScorer(model), text)
    words = line(sentences)
    bits = model.score([words])[0][:-1]  # the list itself has no end behind its last one
    assert measures["loss"] == pytest.approx(-bits.mean() * math.log(2), rel=1e-6)
    assert measures["perplexity"] == pytest.approx(math.exp(measures["loss"]))
    assert measures["bits_per_target"] == pytest.approx(-bits.mean(), rel=1e-6)
    assert measures["n_targets"] == len(words)
    assert measures["n_tokens"] == len(words) - len(sentences)
    assert measures["n_unknown"] == words.count("strange")
    assert measures["unknown_rate"] == words.count("strange") / measures["n_tokens"]
    assert measures["n_words"] == len(WORDS)


@pytest.mark.parametrize("unroll", [1, 5, 400])
def test_windows_do_not_move_the_result(make_model, text, unroll):
    model = make_model(n_layers=2)
    whole = measure(StaticScorer(model), text, unroll=50)
    assert measure(StaticScorer(model), text, unroll=unroll)["loss"] == pytest.approx(whole["loss"], rel=1e-6)


def test_columns_score_every_word_once(make_model, sentences):
    model = make_model()
    text = SentenceList(sentences * 4)
    one, several = (measure(StaticScorer(model), text, batch_size=size, unroll=1) for size in (1, 3))
    assert several["n_targets"] == one["n_targets"] == 4 * len(line(sentences))
    assert several["n_unknown"] == one["n_unknown"]
    assert several["loss"] == pytest.approx(one["loss"], rel=0.02)  # two more columns begin without a state
    assert several["loss"] != one["loss"]


def test_shares_of_processes_add_up_to_the_whole(make_model, sentences, monkeypatch):
    """What one process of two would add; their sum is the measure of one process alone."""
    model, text = make_model(), SentenceList(sentences * 4)
    sums = []
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: sums.append(tensor.clone()))
    monkeypatch.setattr(torch.distributed, "get_backend", lambda: "gloo")
    words = WordTable(text.types, model.indexer)
    for rank in range(2):
        windows = EvalTextStreams(text, batch_size=3, unroll=1)
        held_out_perplexity(StaticScorer(model), windows, words, rank=rank, world_size=2)
    whole = measure(StaticScorer(model), text, batch_size=3, unroll=1)
    assert float(sums[0] + sums[2]) / whole["n_targets"] == pytest.approx(whole["loss"], rel=1e-6)
    assert int((sums[1] + sums[3]).sum()) == whole["n_targets"]


def test_text_can_be_cut_short(make_model, text, sentences):
    model = make_model()
    measures = measure(StaticScorer(model), text, max_tokens=10)
    bits = model.score([line(sentences)[:10]])[0][:-1]
    unspelled = make_model(spelling_width=None).score([line(sentences)[:10]])[0][:-1]
    assert len(bits) == len(unspelled) == measures["n_targets"] == 10
    assert measures["loss"] == pytest.approx(-unspelled.mean() * math.log(2), rel=1e-5)


def test_bits_per_byte_count_spellings_blanks_and_line_ends(make_model, text, sentences):
    model = make_model()
    measures = measure(StaticScorer(model), text)
    n_bytes = len("".join(" ".join(sentence) + "\n" for sentence in sentences).encode("utf8"))
    n_unknown = line(sentences).count("strange")
    spelling = -n_unknown * model.spelling.log2_probabilities(["strange"])[0]
    expected = (measures["loss"] / math.log(2) * measures["n_targets"] + spelling) / n_bytes
    assert measures["bits_per_byte"] == pytest.approx(expected, rel=1e-6)


def test_bits_per_byte_are_unknown_without_spellings(make_model, text, sentences):
    assert measure(StaticScorer(make_model()), text, has_spelling=False)["bits_per_byte"] is None
    lost = SentenceList(sentences, unknown="strange")
    measures = measure(StaticScorer(make_model()), lost)
    assert measures["bits_per_byte"] is None
    assert measures["n_unknown"] == line(sentences).count("strange")


def test_mark_of_a_sentence_in_the_text_is_an_unknown_word(make_model):
    measures = measure(StaticScorer(make_model()), SentenceList([["a", "<S>", "b"]]))
    assert measures["n_unknown"] == 1
    assert math.isfinite(measures["loss"])


def test_text_without_words_has_no_loss(make_model):
    measures = measure(StaticScorer(make_model()), SentenceList([[]]))
    assert math.isnan(measures["loss"])
    assert measures["n_targets"] == 0
    assert measures["bits_per_byte"] is None


def test_vocabulary_decides_what_is_unknown():
    table = WordTable(["<S>", "</S>", "<UNK>", "b", "x"], VocabularyIndexer(WORDS))
    assert table.ids.tolist() == [2, 1, 2, 4, 2]


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_monte_carlo_is_the_mean_of_single_networks(make_model, text, mean):
    """The networks one by one, from the same random numbers, with their own states."""
    model = make_model(output_dropout=0.4, state_dropout=0.3)
    inputs, targets, mask = next(iter(EvalTextStreams(text, batch_size=1, unroll=12)))
    words = WordTable(text.types, model.indexer)
    inputs, targets = words.ids[inputs], words.ids[targets]
    torch.manual_seed(5)
    nats = MonteCarloScorer(model, n_samples=3, mean=mean, temperature=1.3)(inputs, targets, mask)
    torch.manual_seed(5)
    model.train()
    with torch.no_grad():
        outputs, _ = model(inputs.repeat(3, 1))
        chances = model.log_probabilities(outputs.flatten(0, 1), temperature=1.3).exp()
    each = chances.double().numpy().reshape(3, 12, len(WORDS))[..., 1:]  # (samples, words, vocab) without <S>
    joint = each.mean(0) if mean == "arithmetic" else np.exp(np.log(each).mean(0))
    joint = joint / joint.sum(1, keepdims=True)
    expected = -np.log(joint[np.arange(12), targets[0].numpy() - 1])
    assert np.abs(nats.numpy() - expected).max() < 1e-6


def test_monte_carlo_networks_differ_and_go_on_from_their_own_states(make_model, text):
    model = make_model(state_dropout=0.5)
    scorer = MonteCarloScorer(model, n_samples=4)
    measure(scorer, text, max_tokens=14)
    assert scorer.state.hidden.shape == (1, 4, 6)
    assert not torch.equal(scorer.state.hidden[:, 0], scorer.state.hidden[:, 1])
    assert not model.training


def test_monte_carlo_gains_by_its_mean(make_model, text):
    """The arithmetic mean of probabilities costs less than the networks do on average (Jensen)."""
    model = make_model(output_dropout=0.5)
    losses = []
    for n_samples in (1, 1, 1, 1, 16):
        losses.append(measure(MonteCarloScorer(model, n_samples=n_samples), text)["loss"])
    assert losses[-1] < np.mean(losses[:-1])


def test_monte_carlo_needs_dropout_and_a_known_mean(make_model):
    with pytest.raises(ValueError, match=r"\[G244\] The model has no dropout in its config"):
        MonteCarloScorer(make_model(), n_samples=2)
    with pytest.raises(ValueError, match=r"\[G100\] mean = 'power' .* arithmetic, geometric"):
        MonteCarloScorer(make_model(state_dropout=0.1), n_samples=2, mean="power")


def test_temperature_divides_logits(make_model, text):
    model = make_model(spelling_width=None)
    inputs, targets, mask = next(iter(EvalTextStreams(text, batch_size=1, unroll=9)))
    words = WordTable(text.types, model.indexer)
    inputs, targets = words.ids[inputs], words.ids[targets]
    with torch.no_grad():
        logits = model.log_probabilities(model(inputs)[0][0])
    expected = torch.nn.functional.cross_entropy(logits / 0.7, targets[0], reduction="none")
    assert torch.allclose(StaticScorer(model, temperature=0.7)(inputs, targets, mask), expected, atol=1e-5)


@pytest.mark.parametrize("best", [0.5, 0.62, 1.0, 1.37, 1.5])
def test_search_finds_the_best_temperature(best):
    calls = []

    def loss(temperature):
        calls.append(temperature)
        return abs(math.log(temperature / best))

    assert search_temperature(loss, tolerance=0.01) == pytest.approx(best, abs=0.01)
    assert len(calls) < 14
    assert all(0.5 <= temperature <= 1.5 for temperature in calls)


def test_search_betters_an_overconfident_model(make_model, text):
    model = make_model()
    model.output.bias.data.mul_(0)
    loss_of = {}

    def loss(temperature):
        loss_of[temperature] = measure(StaticScorer(model, temperature=temperature), text)["loss"]
        return loss_of[temperature]

    best = search_temperature(loss, highest=4.0)
    assert loss_of[best] == min(loss_of.values())
    assert loss_of[best] < loss(1.0)


@pytest.mark.gpu
@pytest.mark.parametrize("scorer", [StaticScorer, lambda model: MonteCarloScorer(model, n_samples=2)])
def test_gpu_measures_like_the_cpu(make_model, text, scorer):
    model = make_model(output_dropout=1e-9)
    on_cpu = measure(scorer(model), text)
    on_gpu = measure(scorer(model.cuda()), text)
    assert on_gpu["loss"] == pytest.approx(on_cpu["loss"], rel=1e-4)
    assert on_gpu["bits_per_byte"] == pytest.approx(on_cpu["bits_per_byte"], rel=1e-4)
