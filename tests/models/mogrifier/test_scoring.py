"""Scores, states, candidates and the order of alternatives: what a trained language model says of texts."""

import math
import random
from dataclasses import asdict
from typing import Any, Dict, List, Tuple

import numpy as np
import pytest
import torch
from reference.mogrifier import MogrifierOracle
from torch import nn

from glomo_spacy.indexers import VocabularyIndexer
from glomo_spacy.models.mogrifier import LanguageModel, MogrifierConfig, scoring
from glomo_spacy.models.precision import set_precision

WORDS = ["<S>", "</S>", "<UNK>", *(f"w{number}" for number in range(12))]
TEXTS = [["w1", "w2", "w3"], [], ["w4"], ["w5", "new", "w6", "w7", "w8", "w9", "w1", "w1"], ["w2", "Other"]]


def make_model(*, has_indexer: bool = True, **changes: Any) -> LanguageModel:
    fields = {"embedding_width": 8, "hidden_width": 8, "n_layers": 2, "n_heads": 2, "ffn_width": 8, **changes}
    model = LanguageModel(MogrifierConfig(len(WORDS), **fields))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.6)
    if has_indexer:
        model.attach_indexer(VocabularyIndexer(WORDS))
    return model.eval()


@pytest.fixture(params=["mogrifier", "lstm", "gru", "transformer"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return make_model(cell=request.param, window=5)


@pytest.fixture
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text of more than two words is read in several parts, and batches are small."""
    monkeypatch.setattr(scoring, "WINDOW", 3)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 7)


@pytest.mark.usefixtures("short_windows")
def test_scores_are_those_of_the_equations_whatever_the_windows() -> None:
    model = make_model()
    oracle = MogrifierOracle({name: each.numpy() for name, each in model.state_dict().items()}, asdict(model.config))
    found = model.score(TEXTS)
    for scores, text in zip(found, TEXTS, strict=True):
        assert scores.dtype == np.float64
        assert scores.shape == (len(text) + 1,)
        ids = [WORDS.index(word) if word in WORDS else 2 for word in text]
        np.testing.assert_allclose(scores, oracle.score(ids), atol=2e-5)
    for states, text in zip(model.states(TEXTS), TEXTS, strict=True):
        assert states.dtype == np.float32
        ids = [WORDS.index(word) if word in WORDS else 2 for word in text]
        np.testing.assert_allclose(states, oracle.read([1, *ids])[0][1:], atol=2e-6)


def test_a_transformer_reads_windows_as_long_as_its_config_says() -> None:
    model, text = make_model(cell="transformer", window=4), [f"w{number % 12}" for number in range(10)]
    expected = []
    ids = torch.tensor([[1, *(WORDS.index(word) for word in text)]])
    with torch.no_grad():
        for begin in range(0, 11, 4):
            outputs, _ = model(ids[:, begin : begin + 4])
            targets = torch.tensor([*ids[0, 1:], 1])[begin : begin + 4]
            expected.append(-model.losses(outputs[0], targets) / math.log(2))
    np.testing.assert_allclose(model.score([text])[0], torch.cat(expected), atol=1e-5)


@pytest.mark.usefixtures("short_windows")
def test_a_text_has_the_same_scores_and_states_in_any_company_and_order(model: LanguageModel) -> None:
    scores, states = model.score(TEXTS), model.states(TEXTS)
    order = random.Random(1).sample(range(len(TEXTS)), len(TEXTS))
    for found, expected in ((model.score, scores), (model.states, states)):
        shuffled = found([TEXTS[number] for number in order])
        for place, number in enumerate(order):
            np.testing.assert_allclose(shuffled[place], expected[number], atol=1e-5)
            np.testing.assert_allclose(found([TEXTS[number]])[0], expected[number], atol=1e-5)


def test_the_same_call_gives_the_same_bits(model: LanguageModel) -> None:
    for found, again in zip(model.score(TEXTS), model.score(TEXTS), strict=True):
        np.testing.assert_array_equal(found, again)


def test_long_texts_are_read_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    shapes: List[Tuple[int, int]] = []
    model.body.register_forward_pre_hook(lambda _, arguments: shapes.append(tuple(arguments[0].shape[:2])))
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 600)
    model.score([["w1"] * 1000, *([["w2"] * 20] * 50), ["w3"] * 900])
    assert max(seq for _, seq in shapes) == scoring.WINDOW
    assert max(rows * seq for rows, seq in shapes) <= 600
    assert sum(rows * seq for rows, seq in shapes) < 1.2 * (1001 + 50 * 21 + 901)  # hardly any padding


def test_scores_follow_weights_that_change() -> None:
    model = make_model()
    before = model.score(TEXTS)
    for parameter in model.parameters():
        parameter.data.mul_(0.5)  # as optimisers of Thinc do, unseen by torch
    other = make_model()
    other.load_state_dict(model.state_dict())
    for found, expected, old in zip(model.score(TEXTS), other.score(TEXTS), before, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert not np.allclose(found, old)


def test_probabilities_of_all_texts_of_a_length_sum_to_1() -> None:
    """Over all next words after a prefix, the end among them."""
    model = make_model()
    chance = sum(2.0 ** model.score([["w1", word]])[0][1] for word in WORDS[3:])
    chance += 2.0 ** model.score([["w1"]])[0][1] + 2.0 ** model.score([["w1", "new"]])[0][1]
    assert chance == pytest.approx(1, abs=1e-6)


def test_an_unknown_word_costs_its_spelling_too() -> None:
    model = make_model(spelling_width=4)
    bare = make_model()
    bare.load_state_dict({name: each for name, each in model.state_dict().items() if not name.startswith("spelling")})
    for scores, without, text in zip(model.score(TEXTS), bare.score(TEXTS), TEXTS, strict=True):
        bits = [0.0 if word in WORDS else model.spelling.log2_probabilities([word])[0] for word in text]
        np.testing.assert_allclose(scores, without + np.array([*bits, 0.0]), atol=1e-9)
    long, short = model.score([["unknown-word-of-many-letters"], ["ab"]])
    assert long[0] < short[0]


def test_a_word_that_is_unknown_without_a_spelling_costs_no_spelling() -> None:
    model, bare = make_model(spelling_width=4), make_model()
    bare.load_state_dict({name: each for name, each in model.state_dict().items() if not name.startswith("spelling")})
    np.testing.assert_array_equal(model.score([["<UNK>", "w1"]])[0], bare.score([["new", "w1"]])[0])


def test_the_begin_of_a_sentence_counts_as_unknown_and_its_end_as_itself() -> None:
    model = make_model()
    np.testing.assert_array_equal(model.score([["<S>", "w1"]])[0], model.score([["new", "w1"]])[0])
    first, second = model.score([["w1"], ["w1", "</S>", "w2"]])
    np.testing.assert_allclose(second[:2], first, atol=1e-6)


def test_one_pass_gives_scores_states_and_which_words_are_unknown(model: LanguageModel) -> None:
    found = model.annotate(TEXTS)
    for each, scores, states in zip(found, model.score(TEXTS), model.states(TEXTS), strict=True):
        np.testing.assert_allclose(each.scores, scores, atol=1e-6)
        np.testing.assert_allclose(each.states, states, atol=1e-6)
    assert found[3].is_unknown.tolist() == [False, True, *[False] * 6]
    assert model.annotate(TEXTS, has_states=False)[0].states.shape == (0, 8)
    assert model.annotate(TEXTS, has_scores=False)[0].scores.shape == (0,)


def test_candidates_are_the_likeliest_next_words(model: LanguageModel) -> None:
    prefix = ["w1", "w2", "w3", "w4", "w5", "w6"]
    found = model.candidates(prefix, n=4)
    chances = {word: model.score([[*prefix, word]])[0][-2] for word in WORDS[3:]}
    chances["</S>"] = model.score([prefix])[0][-1]
    expected = sorted(chances, key=lambda word: -chances[word])[:4]
    assert [word for word, _ in found] == expected
    np.testing.assert_allclose([chance for _, chance in found], [chances[word] for word in expected], atol=1e-5)


def test_candidates_for_nothing_read_begin_a_sentence_and_are_at_most_all_words() -> None:
    model = make_model()
    found = model.candidates([], n=100)
    assert sorted(word for word, _ in found) == sorted(set(WORDS) - {"<S>", "<UNK>"})
    assert model.candidates([], n=0) == []
    assert len(model.candidates(["w1"])) == 10


def test_alternatives_come_in_the_order_of_their_likelihood() -> None:
    model = make_model()
    alternatives = [["w1", "w2"], ["w2", "w1"], ["w3", "w3"], []]
    totals = [float(scores.sum()) for scores in model.score(alternatives)]
    found = model.rescore(alternatives)
    assert [place for place, _ in found] == sorted(range(4), key=lambda place: -totals[place])
    assert dict(found) == pytest.approx(dict(enumerate(totals)))


@pytest.mark.usefixtures("short_windows")
def test_states_with_their_graph_equal_those_without_and_reach_the_parameters(model: LanguageModel) -> None:
    tensors = model.state_tensors(TEXTS, keep_graph=True)
    for found, expected in zip(tensors, model.states(TEXTS), strict=True):
        np.testing.assert_allclose(found.detach(), expected, atol=1e-6)
    sum((each**2).sum() for each in tensors).backward()
    assert model.embedding.weight.grad is not None
    assert model.embedding.weight.grad[3:].any()
    assert not any(each.requires_grad for each in model.state_tensors(TEXTS))


def test_scoring_leaves_the_mode_of_the_model_and_is_without_dropout(model: LanguageModel) -> None:
    dropping = make_model(cell=model.config.cell, window=5, input_dropout=0.5, output_dropout=0.5).train()
    dropping.load_state_dict(model.state_dict())
    np.testing.assert_allclose(dropping.score(TEXTS)[3], model.score(TEXTS)[3], atol=1e-6)
    assert [word for word, _ in dropping.candidates(["w1"])] == [word for word, _ in model.candidates(["w1"])]
    assert dropping.training
    model.score(TEXTS)
    assert not model.training


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("fields", [{}, {"n_softmaxes": 2}], ids=["one", "mixture"])
def test_fewer_bits_change_scores_little(fields: Dict[str, Any], precision: str) -> None:
    model = make_model(**fields)
    expected = model.score(TEXTS)
    set_precision(model, precision)
    found = model.score(TEXTS)
    assert 0 < max(np.abs(each - other).max() for each, other in zip(found, expected, strict=True)) < 0.05
    chances = dict(model.candidates(["w1"], n=20))
    assert sum(2.0**chance for chance in chances.values()) + 2.0 ** model.score([["w1", "new"]])[0][1] == pytest.approx(
        1, abs=0.01
    )
    set_precision(model, "float32")
    for each, other in zip(model.score(TEXTS), expected, strict=True):
        np.testing.assert_array_equal(each, other)


def test_a_certain_word_never_costs_less_than_nothing() -> None:
    """Rounding alone would let half of them."""
    model = make_model()
    with torch.no_grad():
        model.output.bias[WORDS.index("w1")] = 80.0
    set_precision(model, "bfloat16")
    scores = np.array([scores[1] for scores in model.score([[word, "w1"] for word in WORDS[3:]])])
    assert scores.max() == 0
    assert scores.min() > -0.1


def test_shuffled_words_change_the_score() -> None:
    model = make_model()
    first, second = model.score([["w1", "w2", "w3", "w4"], ["w4", "w2", "w3", "w1"]])
    assert abs(first.sum() - second.sum()) > 1e-3


@pytest.mark.parametrize("lengths", [[3, 1, 9, 2, 2, 40], [], [5], [1] * 30])
def test_batches_hold_every_row_once_longest_first_within_their_limit(
    lengths: List[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 12)
    batches = scoring.plan_batches(lengths, 6)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = min(lengths[batch[0]], 6)
        assert [lengths[number] for number in batch] == sorted((lengths[number] for number in batch), reverse=True)
        assert len(batch) == 1 or longest * len(batch) <= 12
    if lengths == [1] * 30:
        assert len(batches) == 3


def test_no_texts_have_no_scores() -> None:
    assert make_model().score([]) == []
    assert make_model().states([]) == []


@pytest.mark.parametrize("texts", [["w1 w2"], [["w1", 7]]])
def test_anything_but_lists_of_strings_is_refused(texts: Any) -> None:
    with pytest.raises(ValueError, match="G017.*each a list of tokens, but found"):
        make_model().score(texts)


def test_a_model_without_words_says_so() -> None:
    with pytest.raises(ValueError, match="G184.*no indexer.*attach_indexer"):
        make_model(has_indexer=False).score([["w1"]])
