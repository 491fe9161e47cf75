"""The cache of token vectors: bounded, never stale, and invisible in the result."""

import copy
import pickle

import numpy as np
import pytest
import torch
from reference.elmo_state import SENTENCES, tiny_bilm
from torch import nn

from glomo_spacy.indexers import CharIndexer
from glomo_spacy.models.elmo import BiLM, WordCache, set_precision


class Encoder(nn.Module):
    """Counts what it encodes: the vector of a word is its length times the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.asked: list = []

    def encode(self, words: list) -> torch.Tensor:
        self.asked.append(list(words))
        return torch.tensor([[float(len(word))] * 2 for word in words]).view(-1, 2) * self.weight.detach()


def look_up(cache: WordCache, encoder: Encoder, words: list) -> list:
    return cache.vectors(words, encoder, encoder.encode)[:, 0].tolist()


def test_a_word_is_encoded_once():
    cache, encoder = WordCache(), Encoder()
    assert look_up(cache, encoder, ["a", "bb"]) == [1, 2]
    assert look_up(cache, encoder, ["ccc", "bb", "", "a"]) == [3, 2, 0, 1]
    assert look_up(cache, encoder, ["a", "ccc"]) == [1, 3]
    assert encoder.asked == [["a", "bb"], ["ccc", ""]]
    assert len(cache) == 4
    assert "ccc" in cache


def test_it_never_holds_more_than_it_may():
    cache, encoder = WordCache(max_words=20), Encoder()
    for start in [*range(0, 70, 9), 3]:
        words = ["x" * length for length in range(start, start + 30)]
        assert look_up(cache, encoder, words) == list(range(start, start + 30))
        assert len(cache) == 20


def test_words_in_use_stay_and_others_make_room():
    cache, encoder = WordCache(max_words=4), Encoder()
    for new in ["1", "22", "333", "4444", "55555", "666666", "7777777"]:
        assert look_up(cache, encoder, ["the", new]) == [3, len(new)]
    assert encoder.asked[0] == ["the", "1"]
    assert all("the" not in asked for asked in encoder.asked[1:])


def test_endless_strings_are_not_kept():
    cache, encoder = WordCache(), Encoder()
    assert look_up(cache, encoder, ["x" * 100_000, "a", "y" * 101]) == [100_000, 1, 101]
    assert look_up(cache, encoder, ["a", "y" * 101, "x" * 100_000]) == [1, 101, 100_000]
    assert len(cache) == 1


def test_a_cache_of_no_words_keeps_none():
    cache, encoder = WordCache(max_words=0), Encoder()
    assert look_up(cache, encoder, ["a"]) == look_up(cache, encoder, ["a"]) == [1]
    assert len(cache) == 0


def test_copies_and_pickles_begin_empty():
    cache, encoder = WordCache(max_words=7), Encoder()
    look_up(cache, encoder, ["a"])
    for other in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert (len(other), other.max_words) == (0, 7)


def _in_place(weight: nn.Parameter) -> None:
    with torch.no_grad():
        weight.mul_(2)


def _by_data(weight: nn.Parameter) -> None:
    weight.data.mul_(2)


def _by_array(weight: nn.Parameter) -> None:
    """As Thinc's optimisers do: through an array that shares the memory, then the same memory as new data."""
    array = weight.data.numpy()
    array *= 2
    weight.data = torch.from_numpy(array)


def _by_replacement(weight: nn.Parameter) -> None:
    weight.data = weight.data * 2


@pytest.mark.parametrize("change", [_in_place, _by_data, _by_array, _by_replacement])
def test_changed_parameters_empty_it(change):
    cache, encoder = WordCache(), Encoder()
    look_up(cache, encoder, ["a", "bb"])
    change(encoder.weight)
    assert look_up(cache, encoder, ["a"]) == [2]
    assert len(cache) == 1


def test_in_training_every_number_of_the_parameters_is_watched():
    cache, encoder = WordCache(), Encoder()
    encoder.weight = nn.Parameter(torch.ones(100_000))
    encode = lambda words: encoder.weight.detach()[777].expand(len(words), 2)  # noqa: E731
    assert cache.vectors(["a"], encoder, encode)[0, 0] == 1
    encoder.weight.grad = torch.zeros_like(encoder.weight)
    for value in (2.0, 3.0):  # between the numbers that are always compared, and behind torch's back
        encoder.weight.data.numpy()[777] = value
        assert cache.vectors(["a"], encoder, encode)[0, 0] == value


def test_a_change_while_words_are_encoded_is_not_stored():
    cache, encoder = WordCache(), Encoder()

    def interrupted(words: list) -> torch.Tensor:
        vectors = encoder.encode(words)
        _in_place(encoder.weight)
        look_up(cache, encoder, ["bb"])  # another thread sees the change
        return vectors

    assert cache.vectors(["a"], encoder, interrupted)[0, 0] == 1
    assert look_up(cache, encoder, ["a"]) == [2]


@pytest.fixture
def model() -> BiLM:
    return tiny_bilm()


def fresh_layers(model: BiLM) -> np.ndarray:
    cold = copy.deepcopy(model)
    cold.cache = WordCache(max_words=0)
    return cold.layers(SENTENCES[:1])[0]


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_layers_are_right_after_every_step_of_fine_tuning(model, optimizer):
    steps = optimizer(model.parameters(), lr=0.05)
    for _ in range(3):
        np.testing.assert_array_equal(model.layers(SENTENCES[:1])[0], fresh_layers(model))
        assert len(model.cache) > 2
        model.train()
        torch.stack(
            [layers.square().mean() for layers in model.layer_tensors(SENTENCES[:2], keep_graph=True)]
        ).sum().backward()
        steps.step()
        steps.zero_grad()
        model.eval()
    np.testing.assert_array_equal(model.layers(SENTENCES[:1])[0], fresh_layers(model))


@pytest.mark.parametrize("part", ["token_encoder", "forward_lm", "backward_lm"])
def test_layers_are_right_after_writing_behind_the_back_of_torch(model, part):
    before = model.layers(SENTENCES[:1])[0]
    for parameter in getattr(model, part).parameters():
        parameter.data.numpy()[:] *= 1.5
    after = model.layers(SENTENCES[:1])[0]
    np.testing.assert_array_equal(after, fresh_layers(model))
    assert np.abs(after - before).max() > 0.01


def test_layers_are_right_after_loading_other_weights(model):
    before = model.layers(SENTENCES[:1])[0]
    model.load_state_dict(tiny_bilm(seed=1).state_dict())
    after = model.layers(SENTENCES[:1])[0]
    np.testing.assert_array_equal(after, fresh_layers(model))
    assert np.abs(after[0] - before[0]).max() > 0.1


def test_layers_are_right_with_another_indexer():
    model = tiny_bilm(alphabet="abc")
    model.layers([["abc"]])
    model.attach_indexer(CharIndexer(alphabet="cab"))
    found = model.layers([["cab"]])[0]
    np.testing.assert_array_equal(found, tiny_bilm(alphabet="abc").layers([["abc"]])[0])


def test_vectors_of_half_precision_are_not_used_for_single_precision(model):
    expected = model.layers(SENTENCES[:1])[0]
    model.cache.clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model.layers(SENTENCES[:1])[0]
    assert 1e-4 < np.abs(half[0] - expected[0]).max() < 0.5
    np.testing.assert_array_equal(model.layers(SENTENCES[:1])[0], expected)


def test_gradients_and_dropout_do_not_go_through_the_cache(model):
    model.layers(SENTENCES)
    n_words = len(model.cache)
    model.layer_tensors([["unheard-of"]], keep_graph=True)
    assert len(model.cache) == n_words
    model.train()
    model.layer_tensors([["unheard-of"]])
    assert len(model.cache) == n_words


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_another_precision_leaves_nothing_of_the_one_before(precision):
    model = tiny_bilm()
    exact = model.layers(SENTENCES)
    set_precision(model, precision)
    found = model.layers(SENTENCES)
    fresh = tiny_bilm()
    set_precision(fresh, precision)
    for layers, expected, other in zip(found, fresh.layers(SENTENCES), exact, strict=True):
        np.testing.assert_array_equal(layers, expected)
        assert not layers.size or not np.array_equal(layers, other)
    set_precision(model, "float32")
    for layers, expected in zip(model.layers(SENTENCES), exact, strict=True):
        np.testing.assert_array_equal(layers, expected)
