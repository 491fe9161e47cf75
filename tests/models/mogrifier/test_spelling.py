"""The spelling of unknown words: a distribution over all strings, the same for a word in any company."""

import copy
from itertools import product
from typing import List

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from glomo_spacy.models.mogrifier.spelling import _LENGTHS, MAX_WORDS, Spelling

WORDS = ["a", "Skłodowska", "日本", "x" * 7, "x" * 8, "ab" * 30, "q" * 300, "", "naïve", "\ud800"]


@pytest.fixture
def spelling() -> Spelling:
    model = Spelling(16)
    for parameter in model.parameters():
        parameter.data.mul_(2.0)
    return model


def by_hand(model: Spelling, word: str) -> float:
    """Byte after byte, in float64."""
    model = copy.deepcopy(model).double()
    total, state = 0.0, None
    spelled = list(word.encode("utf8", "surrogatepass"))
    with torch.no_grad():
        for before, after in zip([256, *spelled], [*spelled, 256]):
            outputs, state = model.lstm(model.embedding(torch.tensor([[before]])), state)
            total += float(F.log_softmax(model.output(outputs[0, 0]), dim=0)[after]) / np.log(2)
    return total


def test_a_word_is_the_product_of_its_bytes_and_its_end(spelling: Spelling) -> None:
    found = spelling.log2_probabilities(WORDS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [by_hand(spelling, word) for word in WORDS], rtol=1e-6, atol=1e-5)


def test_the_probabilities_of_all_strings_sum_to_one(spelling: Spelling) -> None:
    with torch.no_grad():
        spelling.output.bias[[byte for byte in range(256) if chr(byte) not in "ab"]] = -1e4  # a toy of two letters
        spelling.output.bias[256] += 3.0
    shorter = ["".join(letters) for length in range(9) for letters in product("ab", repeat=length)]
    mass = np.exp2(spelling.log2_probabilities(shorter)).sum()
    assert 0.99 < mass < 1.0
    longer = ["".join(letters) for letters in product("ab", repeat=9)]
    more = np.exp2(spelling.log2_probabilities(longer)).sum()
    assert 0.99 + more < mass + more < 1.0 + 1e-6


def test_the_losses_of_training_are_the_same_in_nats(spelling: Spelling) -> None:
    words = [word for word in WORDS if len(word) < 60]
    losses = spelling.losses(words)
    assert losses.requires_grad
    assert losses.dtype == torch.float32
    np.testing.assert_allclose(
        losses.detach().numpy(), -spelling.log2_probabilities(words) * np.log(2), rtol=1e-5, atol=1e-5
    )
    assert spelling.losses([]).shape == (0,)


def test_training_reads_the_begin_of_a_long_word_only(spelling: Spelling) -> None:
    beginning, longer, longest = spelling.losses(["q" * 63 + "a", "q" * 64, "q" * 5000]).tolist()
    assert longer == longest
    assert beginning != longer


def test_a_word_has_the_same_bits_in_any_company(spelling: Spelling) -> None:
    words = [letter * length for letter in "aqé" for length in (*range(20), 40, 100, 127, 128, 129, 200)]
    words = [*dict.fromkeys(words)]
    together = dict(zip(words, spelling.log2_probabilities(words)))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(words))[: 5 + 20 * seed]
        chosen = [words[place] for place in order]
        fresh = copy.deepcopy(spelling)  # remembers nothing
        assert fresh.log2_probabilities(chosen).tolist() == [together[word] for word in chosen]


def test_words_are_remembered_until_the_weights_change(spelling: Spelling, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: List[str] = []
    compute = spelling._compute
    monkeypatch.setattr(spelling, "_compute", lambda words: computed.extend(words) or compute(words))
    first = spelling.log2_probabilities(["dog", "cat", "dog"])
    assert first[0] == first[2] != first[1]
    assert computed == ["dog", "cat"]
    assert spelling.log2_probabilities(["cat", "cow"])[0] == first[1]
    assert computed == ["dog", "cat", "cow"]
    with torch.no_grad():
        spelling.output.bias.add_(torch.randn(257))
    assert spelling.log2_probabilities(["dog"])[0] != first[0]
    assert computed == ["dog", "cat", "cow", "dog"]


def test_what_is_remembered_is_bounded(spelling: Spelling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glomo_spacy.models.mogrifier.spelling.MAX_WORDS", 3)
    words = ["a", "b", "c", "d", "e"]
    expected = copy.deepcopy(spelling).log2_probabilities(words)
    for _ in range(2):
        np.testing.assert_array_equal(spelling.log2_probabilities(words), expected)
        assert len(spelling._known.get(spelling, None, dict)) <= 3
    assert MAX_WORDS > 1000


def test_a_long_word_is_read_in_parts(spelling: Spelling) -> None:
    widest = []
    spelling.lstm.register_forward_hook(lambda module, inputs, outputs: widest.append(inputs[0].shape[1]))
    word = "ab" * 500
    assert spelling.log2_probabilities([word])[0] == pytest.approx(by_hand(spelling, word), rel=1e-6)
    assert max(widest) == _LENGTHS[-1]


def test_it_learns_what_words_look_like() -> None:
    torch.manual_seed(0)
    spelling = Spelling(16)
    optimizer = torch.optim.Adam(spelling.parameters(), lr=0.02)
    before = spelling.log2_probabilities(["abc", "cba"])
    for _ in range(40):
        optimizer.zero_grad()
        spelling.losses(["abc", "abcabc", "bcabc"]).mean().backward()
        optimizer.step()
    after = spelling.log2_probabilities(["abc", "cba"])
    assert after[0] > before[0] + 15
    assert after[0] > after[1] + 8


def test_without_gradients_nothing_is_recorded(spelling: Spelling) -> None:
    spelling.log2_probabilities(["dog"])
    assert all(parameter.grad is None for parameter in spelling.parameters())
    spelling.losses(["dog"]).sum().backward()
    assert all(parameter.grad is not None for parameter in spelling.parameters())
