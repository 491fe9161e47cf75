"""Vectors of words: independent of how words are trimmed, grouped and accompanied."""

import copy

import numpy as np
import pytest
import torch
from reference.elmo_state import oracle_of, tiny_bilm

from glomo_spacy.indexers import CharIndexer
from glomo_spacy.models.elmo import BiLM, CharCNN, ElmoConfig, Highway, set_precision

LENGTHS = [0, 1, 3, 4, 5, 8, 12, 16, 23, 24, 25, 40, 42, 43, 44, 47, 48, 60]  # where groups and windows begin and end
WORDS = ["ab" * (length // 2) + "c" * (length % 2) for length in LENGTHS] + ["<S>", "</S>", "日本"]


def spelled(words) -> torch.Tensor:
    return torch.from_numpy(CharIndexer().ids(words).astype(np.int64))


@pytest.fixture(scope="module", params=["relu", "tanh"])
def model(request) -> BiLM:
    return tiny_bilm(filters=((1, 32), (2, 64), (7, 256)), activation=request.param, projection_width=48)


@torch.no_grad()
@pytest.mark.parametrize("word", WORDS, ids=len)
def test_padding_takes_part_however_much_of_it_is_given(model, word):
    characters = spelled([word])
    expected = oracle_of(model).word_vector(word)
    longest = int((characters != 261).sum())
    for n_characters in {longest, min(longest + 1, 50), min(longest + 6, 50), 50}:
        vector = model.token_vectors(characters[:, :n_characters])[0]
        np.testing.assert_allclose(vector.numpy(), expected, atol=1e-5)


@torch.no_grad()
def test_a_word_has_the_same_bits_in_any_company(model):
    words = [word + str(number) for number in range(10) for word in WORDS[:-3]] + WORDS
    together = model.token_vectors(spelled(words))
    for n_words in (1, 2, 15, 16, 17, 64, 65, 150):
        chosen = torch.randperm(len(words), generator=torch.Generator().manual_seed(n_words))[:n_words]
        assert torch.equal(model.token_vectors(spelled([words[place] for place in chosen])), together[chosen])


def test_with_gradient_the_vectors_are_the_same(model):
    characters = spelled(WORDS)
    with torch.no_grad():
        expected = model.token_vectors(characters)
    found = model.token_vectors(characters)
    assert found.requires_grad
    np.testing.assert_allclose(found.detach().numpy(), expected.numpy(), atol=1e-5)
    assert model.token_vectors(characters[:0]).shape == (0, 48)


@pytest.mark.parametrize("precision, error", [("bfloat16", 0.01), ("int8", 0.03)])
@torch.no_grad()
def test_fewer_bits_give_nearly_the_same_vectors(model, precision, error):
    characters = spelled(WORDS)
    exact = model.token_vectors(characters)
    model = copy.deepcopy(model)
    set_precision(model, precision)
    near = model.token_vectors(characters)
    distances = (near - exact).norm(dim=1) / exact.norm(dim=1)
    assert float(distances.min()) > 1e-5
    assert float(distances.max()) < error
    set_precision(model, "float32")
    assert torch.equal(model.token_vectors(characters), exact)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@torch.no_grad()
def test_in_fewer_bits_too_a_word_has_the_same_bits_in_any_company(model, precision):
    words = [word + str(number) for number in range(5) for word in WORDS[:-3]]
    model = copy.deepcopy(model)
    set_precision(model, precision)
    together = model.token_vectors(spelled(words))
    for chosen in ([3], [70, 3, 11], [*range(20, 60)]):
        assert torch.equal(model.token_vectors(spelled([words[place] for place in chosen])), together[chosen])


@torch.no_grad()
def test_a_network_without_highways_and_projection_has_fewer_bits_too():
    encoder = CharCNN(ElmoConfig(filters=((1, 8), (3, 24)), projection_width=32, cell_width=4, n_highway=0))
    exact = encoder(spelled(WORDS))
    set_precision(encoder, "bfloat16")
    torch.testing.assert_close(encoder(spelled(WORDS)), exact, rtol=0, atol=0.01 * float(exact.abs().max()))


def test_with_gradient_fewer_bits_are_not_used(model):
    characters = spelled(WORDS)
    expected = model.token_vectors(characters)
    model = copy.deepcopy(model)
    set_precision(model, "int8")
    assert torch.equal(model.token_vectors(characters), expected)


@torch.no_grad()
def test_fewer_bits_follow_the_parameters():
    encoder = tiny_bilm().token_encoder
    set_precision(encoder, "int8")
    before = encoder(spelled(["a"]))
    encoder.projection.weight.mul_(-1)
    encoder.projection.bias.mul_(-1)
    torch.testing.assert_close(encoder(spelled(["a"])), -before)


def test_row_zero_of_the_table_is_zero():
    encoder = tiny_bilm().token_encoder
    assert isinstance(encoder, CharCNN)
    assert encoder.embedding.shape[0] == 261
    with torch.no_grad():
        nothing = encoder(torch.zeros(1, 50, dtype=torch.int64))
        before = nothing.clone()
        encoder.embedding.mul_(3)
        assert torch.equal(encoder(torch.zeros(1, 50, dtype=torch.int64)), before)


def test_highway_layers_begin_by_passing_their_input_on():
    torch.manual_seed(0)
    highway = Highway(64)
    values = torch.randn(5, 64)
    with torch.no_grad():
        assert (highway(values) - values).abs().mean() < 0.3 * values.abs().mean()
        highway.carry.bias.fill_(-100.0)
        assert torch.equal(highway(values), values)
        highway.carry.bias.fill_(100.0)
        assert torch.allclose(highway(values), torch.relu(highway.transform(values)))


@pytest.mark.parametrize("activation, limit", [("relu", 0.05), ("tanh", 1.0)])
def test_convolutions_begin_as_published(activation, limit):
    torch.manual_seed(0)
    encoder = CharCNN(ElmoConfig(filters=((4, 2000),), activation=activation, projection_width=4, cell_width=4))
    weight = encoder.convolutions[0].weight.detach()
    if activation == "relu":
        assert 0.9 * limit < weight.abs().max() <= limit
    else:
        assert weight.std() == pytest.approx((4 * 16) ** -0.5, rel=0.02)
    assert not encoder.convolutions[0].bias.any()
