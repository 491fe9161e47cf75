"""Dynamic evaluation: scores first, learns then, one update by the equations, and all weights back at the end."""

import math
from collections import namedtuple

import numpy as np
import pytest
import torch

from glomo_spacy.corpora import EvalTextStreams, SentenceList
from glomo_spacy.evaluation.dynamic import DynamicScorer, DynamicSettings, gradient_sizes, search_settings
from glomo_spacy.evaluation.language_model import StaticScorer, WordTable, held_out_perplexity

TrainingWindow = namedtuple("TrainingWindow", "inputs targets is_start")
FAST = DynamicSettings(learn_rate=0.05, decay=0.1, epsilon=0.01)


def windows_of(model, text, *, unroll=8):
    """Inputs, targets and mask of each window, as ids of the model's words."""
    words = WordTable(text.types, model.indexer)
    for inputs, targets, mask in EvalTextStreams(text, batch_size=1, unroll=unroll):
        yield words.ids[inputs], words.ids[targets], mask


def training_windows(text, *, unroll=8):
    """The same as training would read it."""
    for index, (inputs, targets, _) in enumerate(EvalTextStreams(text, batch_size=1, unroll=unroll)):
        yield TrainingWindow(inputs, targets, index == 0)


def sizes_of(model, text):
    return gradient_sizes(model, training_windows(text), WordTable(text.types, model.indexer))


def score_all(model, text, settings=FAST, **options):
    with DynamicScorer(model, sizes_of(model, text), settings, **options) as scorer:
        return [scorer(*window) for window in windows_of(model, text)]


def weights_of(model):
    return {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}


def gradients_of(model, inputs, targets, state):
    """Of the mean loss, by plain autograd, and the state after the window."""
    outputs, after = model(inputs, state)
    loss = model.losses(outputs.flatten(0, 1), targets.flatten()).mean()
    model.zero_grad()
    loss.backward()
    found = {
        name: parameter.grad.numpy().copy()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad(set_to_none=True)
    return found, type(after)(*(part.detach() for part in after))


def test_sizes_are_root_mean_squares_of_the_windows_gradients(make_model, text):
    model = make_model()
    words, state, squares = WordTable(text.types, model.indexer), None, []
    for inputs, targets, _ in training_windows(text):
        gradients, state = gradients_of(model, words.ids[inputs], words.ids[targets], state)
        squares.append({name: gradient**2 for name, gradient in gradients.items()})
    sizes = sizes_of(model, text)
    assert set(sizes) == set(squares[0])
    assert not any(name.startswith("spelling.") for name in sizes)
    for name, size in sizes.items():
        expected = np.sqrt(np.mean([each[name] for each in squares], axis=0))
        assert np.allclose(size.numpy(), expected, rtol=1e-4, atol=1e-8), name


def test_sizes_are_measured_on_so_many_batches_and_states_begin_anew_with_the_text(make_model, text):
    model, words = make_model(), WordTable(text.types, make_model().indexer)
    first = next(training_windows(text))
    once = gradient_sizes(model, [first], words)
    repeated = gradient_sizes(model, [first, first, first], words)
    cut_short = gradient_sizes(model, training_windows(text), words, n_batches=1)
    for name, size in once.items():
        assert torch.allclose(size, repeated[name], rtol=1e-4)
        assert torch.equal(size, cut_short[name])


def test_one_update_follows_the_equations(make_model, text):
    """theta - lr g / (ms + eps) + min(1, decay ms / avg) (theta_0 - theta), in numpy, where theta is not theta_0."""
    model = make_model()
    trained, sizes = weights_of(model), {name: size.numpy() for name, size in sizes_of(model, text).items()}
    average = np.concatenate([size.ravel() for size in sizes.values()]).mean()
    first, second, *_ = windows_of(model, text)
    with DynamicScorer(model, sizes_of(model, text), FAST) as scorer:
        scorer(*first)
        before = weights_of(model)
        gradients, _ = gradients_of(model, *second[:2], scorer.state)
        scorer(*second)
        after = weights_of(model)
    for name, size in sizes.items():
        step = FAST.learn_rate * gradients[name] / (size + FAST.epsilon)
        pull = np.minimum(1, FAST.decay * size / average) * (trained[name] - before[name])
        assert np.allclose(after[name], before[name] - step + pull, rtol=1e-4, atol=1e-6), name
    assert np.abs(before["embedding.weight"] - trained["embedding.weight"]).max() > 1e-3
    assert np.array_equal(after["spelling.output.weight"], trained["spelling.output.weight"])


def test_score_of_a_window_never_depends_on_later_ones(make_model, sentences):
    model = make_model()
    sizes = sizes_of(model, SentenceList(sentences))
    other = [*sentences[:6], *(["h"] * 9 for _ in range(6))]
    scores = []
    for lists in (sentences, other):
        with DynamicScorer(model, sizes, FAST) as scorer:
            scores.append([scorer(*window) for window in windows_of(model, SentenceList(lists), unroll=4)])
    n_equal = (sum(map(len, sentences[:6])) + 6) // 4  # windows before the texts part
    assert all(torch.equal(a, b) for a, b in zip(scores[0][:n_equal], scores[1]))
    assert not torch.equal(scores[0][n_equal + 1], scores[1][n_equal + 1])


def test_score_of_the_first_window_is_static(make_model, text):
    model = make_model()
    dynamic = score_all(model, text)
    static = StaticScorer(model)
    expected = [static(*window) for window in windows_of(model, text)]
    assert torch.allclose(dynamic[0], expected[0], atol=1e-6)
    assert not torch.allclose(dynamic[1], expected[1], atol=1e-3)


def test_no_learning_is_static_evaluation(make_model, text):
    model = make_model()
    still = score_all(model, text, DynamicSettings(learn_rate=0.0))
    static = StaticScorer(model)
    for found, window in zip(still, windows_of(model, text)):
        assert torch.allclose(found, static(*window), atol=1e-5)


def test_weights_come_back_to_the_bit(make_model, text):
    model = make_model()
    before = weights_of(model)
    with DynamicScorer(model, sizes_of(model, text), FAST) as scorer:
        scorer(*next(windows_of(model, text)))
        assert not np.array_equal(weights_of(model)["embedding.weight"], before["embedding.weight"])
    after = weights_of(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_learning_betters_a_text_that_repeats_itself(make_model):
    model, text = make_model(), SentenceList([["a", "b", "c", "d"]] * 40)
    words = WordTable(text.types, model.indexer)
    windows = EvalTextStreams(text, batch_size=1, unroll=8)
    static = held_out_perplexity(StaticScorer(model), windows, words)
    with DynamicScorer(model, sizes_of(model, text), FAST) as scorer:
        dynamic = held_out_perplexity(scorer, windows, words)
    assert dynamic["perplexity"] < 0.5 * static["perplexity"]
    assert dynamic["n_targets"] == static["n_targets"]


@pytest.mark.parametrize(
    "settings", [{"cell": "lstm", "n_layers": 2}, {"cell": "gru"}, {"n_softmaxes": 2}, {"rank": 2, "tied": False}]
)
def test_every_kind_of_model_learns_and_comes_back(make_model, settings):
    model, text = make_model(**settings), SentenceList([["a", "b", "c", "d"]] * 40)
    before, losses = weights_of(model), score_all(model, text)
    assert torch.cat(losses[-4:]).mean() < torch.cat(losses[:4]).mean()
    assert all(np.array_equal(before[name], weight) for name, weight in weights_of(model).items())


def test_divergence_stops_with_advice_and_restores_the_weights(make_model, text):
    model = make_model()
    before = weights_of(model)
    with pytest.raises(
        ValueError, match=r"\[G240\] The loss is (nan|inf) in window \d+ .*with learn_rate 1e\+30, decay.*Lower"
    ):
        score_all(model, text, DynamicSettings(learn_rate=1e30, epsilon=1e-9))
    assert all(np.array_equal(before[name], weight) for name, weight in weights_of(model).items())


def test_damaged_weights_are_named_before_anything_is_learned(make_model, text):
    model = make_model()
    model.output.bias.data.fill_(math.nan)
    with pytest.raises(ValueError, match=r"\[G240\] The loss is nan in window 0 of the text, before anything was lea"):
        sizes_of(model, text)


@pytest.mark.parametrize("name, value", [("learn_rate", -1.0), ("decay", math.inf), ("epsilon", 0.0)])
def test_rates_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"\[G101\] {name} must be .*, but is {value}"):
        DynamicSettings(**{name: value})


def test_temperature_counts_in_what_is_scored_and_learned(make_model, text):
    model = make_model()
    cool, warm = (score_all(model, text, temperature=temperature) for temperature in (1.0, 2.0))
    static = StaticScorer(model, temperature=2.0)
    assert torch.allclose(warm[0], static(*next(windows_of(model, text))), atol=1e-6)
    assert not torch.allclose(warm[-1], cool[-1], atol=1e-2)


def test_search_takes_the_lowest_loss_and_survives_divergence(make_model, text):
    model = make_model()

    def loss(settings):
        return float(torch.cat(score_all(model, text, settings)).mean())

    rates = [DynamicSettings(learn_rate=rate, epsilon=0.01) for rate in (0.0, 0.03, 1e30)]
    best, losses = search_settings(loss, rates)
    assert best == rates[1]
    assert losses[2] == math.inf
    assert losses[1] < losses[0]
    with pytest.raises(ValueError, match=r"\[G240\]"):
        search_settings(loss, rates[2:])


@pytest.mark.gpu
def test_gpu_learns_like_the_cpu(make_model, text):
    model = make_model()
    on_cpu = torch.cat(score_all(model, text))
    on_gpu = torch.cat(score_all(model.cuda(), text))
    assert torch.allclose(on_gpu.cpu(), on_cpu, atol=1e-3)
